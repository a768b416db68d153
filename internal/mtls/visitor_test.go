package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// receive has a client come to a reception, and returns who that was, and what the client and the server say of the handshake.
func receive(t *testing.T, r *mtls.Reception, client *tls.Config) (who *mtls.Visitor, err, clientErr error) {
	t.Helper()
	near, far := connected(t)
	defer near.Close()
	defer far.Close()
	_ = near.SetDeadline(time.Now().Add(time.Minute))
	_ = far.SetDeadline(time.Now().Add(time.Minute))
	said := make(chan error, 1)
	go func() {
		conn := tls.Client(near, client)
		_, err := conn.Read(make([]byte, 1)) // in TLS 1.3 the server refuses after the client's handshake
		said <- err
	}()
	conn, who, err := r.Receive(t.Context(), far)
	if err == nil {
		_, _ = conn.Write([]byte("x"))
	}
	return who, err, <-said
}

// TestOnlyTimeIsForgivenToUsersOfDatabases has certificates of which nothing is wrong but that they have expired, and others.
func TestOnlyTimeIsForgivenToUsersOfDatabases(t *testing.T) {
	t.Parallel()
	p, rotated, other := newParties(t, "one.local"), newParties(t, "one.local"), newParties(t, "other.local")
	foreignName, session := *p.user(), *p.user()
	foreignName.Cluster, session.ProxySession = "other.local", true
	nobody := &identity.Identity{Name: "alice", Cluster: p.cluster}
	server := p.sign(ca.HostCA, p.host("Db"), 2*time.Hour, both...)
	const life, late = 2 * time.Hour, 3 * time.Hour // the authorities are not older than the test
	valid := p.sign(ca.UserCA, p.user(), 2*time.Hour, both...)
	ends := time.Until(valid.Leaf.NotAfter)
	forged := *p.sign(ca.UserCA, p.user(), life, both...)
	forged.PrivateKey = valid.PrivateKey // it is somebody else's
	const welcome, expired, refused = "welcome", "expired", "refused"
	for rule, c := range map[string]struct {
		cert *tls.Certificate
		at   time.Duration // from now, by the clock of the server
		want string
	}{
		"a valid one":                                  {valid, 0, welcome},
		"a valid one, a second before its end":         {valid, ends - time.Second, welcome},
		"one that has expired a second ago":            {valid, ends + time.Second, expired},
		"one that has expired years ago":               {valid, ends + 3*365*24*time.Hour, expired},
		"one that is not valid yet":                    {p.signFrom(time.Hour, ca.UserCA, p.user(), life, both...), 0, refused},
		"one that, as its authority, is not valid yet": {valid, -2 * time.Hour, refused},
		"an expired one for clients only":              {p.sign(ca.UserCA, p.user(), life, x509.ExtKeyUsageClientAuth), late, expired},
		"an expired one for servers only":              {p.sign(ca.UserCA, p.user(), life, x509.ExtKeyUsageServerAuth), late, refused},
		"an expired one, with the key of another":      {&forged, late, refused},
		"an expired one by the host authority":         {p.sign(ca.HostCA, p.user(), life, both...), late, refused},
		"an expired one by the db authority":           {p.sign(ca.DatabaseCA, p.user(), life, both...), late, refused},
		"an expired one by the db_client authority":    {p.sign(ca.ClientCA, p.user(), life, both...), late, refused},
		"an expired one of an authority that is gone":  {rotated.sign(ca.UserCA, rotated.user(), life, both...), late, refused},
		"an expired one of another cluster":            {other.sign(ca.UserCA, other.user(), life, both...), late, refused},
		"an expired one that names another cluster":    {p.sign(ca.UserCA, &foreignName, life, both...), late, refused},
		"an expired one without an identity":           {p.sign(ca.UserCA, nobody, life, both...), late, refused},
		"an expired one of a host":                     {p.sign(ca.HostCA, p.host("Db"), life, both...), late, refused},
		"an expired one that a proxy asked for":        {p.sign(ca.UserCA, &session, life, both...), late, refused},
		"one that has expired, as has its authority":   {valid, time.Until(p.authorities[ca.UserCA].Cert.NotAfter) + time.Hour, refused},
		"a valid one by the host authority":            {p.sign(ca.HostCA, p.user(), life, both...), 0, refused},
		"a valid one of a host":                        {p.sign(ca.HostCA, p.host("Db"), life, both...), 0, welcome},
		"a valid one of an authority that is not ours": {rotated.sign(ca.UserCA, rotated.user(), 2*time.Hour, both...), 0, refused},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			now := time.Now().Add(c.at)
			reception := &mtls.Reception{Certificate: func(string) (*tls.Certificate, error) { return server, nil }, Trust: p.trust, Now: func() time.Time { return now }}
			client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*c.cert}, MinVersion: version, MaxVersion: version}
			who, err, clientErr := receive(t, reception, client)
			got := welcome
			switch {
			case err != nil:
				got = refused
			case who.Expired != nil:
				got = expired
			}
			if got != c.want || (clientErr != nil) != (c.want == refused) {
				t.Errorf("%s, by %s: %s (%v, %v)", rule, tls.VersionName(version), got, err, clientErr)
				continue
			}
			switch c.want {
			case refused:
				if _, ok := errors.AsType[*mtls.PeerError](err); who != nil || !ok && c.cert != &forged {
					t.Errorf("%s: %v, %v is no error of the certificate", rule, who, err)
				}
				if alert := "bad certificate"; c.cert != &forged && !strings.Contains(clientErr.Error(), alert) {
					t.Errorf("%s: the client reads %v", rule, clientErr)
				}
			case expired:
				text := "your certificate expired at " + c.cert.Leaf.NotAfter.UTC().Format(time.RFC3339) + "; log in again with tsh login"
				if fault.Message(who.Expired) != text || fault.KindOf(who.Expired) != fault.AccessDenied || !strings.Contains(who.Expired.Error(), "compare the clocks of both hosts") {
					t.Errorf("%s: %v", rule, who.Expired)
				}
				fallthrough
			case welcome:
				if who.Identity == nil || who.Identity.Name != c.cert.Leaf.Subject.CommonName || !who.Identity.Expires.Equal(c.cert.Leaf.NotAfter) {
					t.Errorf("%s: %v", rule, who.Identity)
				}
			}
		}
	}
}

// TestStrangersAreTakenInWhereTheyMay and nobody is taken for one who has shown a certificate.
func TestStrangersAreTakenInWhereTheyMay(t *testing.T) {
	t.Parallel()
	p, other := newParties(t, "one.local"), newParties(t, "one.local")
	server := p.sign(ca.HostCA, p.host("Db"), 2*time.Hour, both...)
	for rule, c := range map[string]struct {
		certs     []tls.Certificate
		strangers bool
		ok        bool
	}{
		"no certificate, where that is enough":         {nil, true, true},
		"no certificate, where one is due":             {nil, false, false},
		"a wrong one, where none is enough":            {[]tls.Certificate{*other.sign(ca.UserCA, other.user(), 2*time.Hour, both...)}, true, false},
		"a wrong one that has expired, and none would": {[]tls.Certificate{*other.sign(ca.UserCA, other.user(), -30*time.Minute, both...)}, true, false},
	} {
		reception := &mtls.Reception{Certificate: func(string) (*tls.Certificate, error) { return server, nil }, Trust: p.trust, Now: time.Now, Strangers: c.strangers}
		who, err, _ := receive(t, reception, &tls.Config{InsecureSkipVerify: true, Certificates: c.certs})
		if (err == nil) != c.ok || err == nil && (who.Identity != nil || who.Expired != nil) {
			t.Errorf("%s: %v, %v", rule, who, err)
		}
	}
}
