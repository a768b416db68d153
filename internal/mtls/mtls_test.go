package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// parties is a cluster's authorities, and what they sign.
type parties struct {
	t           *testing.T
	cluster     string
	authorities map[ca.Type]*ca.Authority
}

func newParties(t *testing.T, cluster string) *parties {
	t.Helper()
	p := &parties{t: t, cluster: cluster, authorities: make(map[ca.Type]*ca.Authority)}
	for _, typ := range ca.Types {
		authority, err := ca.New(typ, cluster, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p.authorities[typ] = authority
	}
	return p
}

func (p *parties) trust() *mtls.Trust {
	trust := &mtls.Trust{Cluster: p.cluster, Authorities: make(map[ca.Type][]*x509.Certificate)}
	for typ, authority := range p.authorities {
		trust.Authorities[typ] = []*x509.Certificate{authority.Cert}
	}
	return trust
}

// sign issues a certificate for an identity by any authority and for any use, also wrong ones.
func (p *parties) sign(by ca.Type, id *identity.Identity, life time.Duration, use ...x509.ExtKeyUsage) *tls.Certificate {
	p.t.Helper()
	return p.signFrom(-time.Hour, by, id, life, use...)
}

// signFrom is sign for a certificate that is valid from some time on; that and its end count from now.
func (p *parties) signFrom(begin time.Duration, by ca.Type, id *identity.Identity, life time.Duration, use ...x509.ExtKeyUsage) *tls.Certificate {
	p.t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		p.t.Fatal(err)
	}
	req := ca.Request{PublicKey: key.Public(), Subject: id.Subject(), ExtKeyUsage: use, NotAfter: time.Now().Add(life)}
	if id.Kind != "" {
		ext, err := id.Extension()
		if err != nil {
			p.t.Fatal(err)
		}
		req.Extensions = append(req.Extensions, ext)
	}
	der, err := p.authorities[by].Sign(req, time.Now().Add(begin))
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *parties) user() *identity.Identity {
	return &identity.Identity{Kind: identity.User, Cluster: p.cluster, Name: "alice"}
}

func (p *parties) host(role string) *identity.Identity {
	return &identity.Identity{Kind: identity.Host, Cluster: p.cluster, Name: "host", SystemRoles: []string{role}}
}

var both = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}

// connected returns both ends of a connection. Unlike those of net.Pipe they do not wait for each other's reads, which
// handshakes with a second ClientHello do not survive.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// shake does a handshake and returns what each side says.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := connected(t)
	defer near.Close()
	defer far.Close()
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	_ = far.SetDeadline(time.Now().Add(10 * time.Second))
	done := make(chan error, 1)
	conn := tls.Server(far, server)
	go func() {
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		_ = far.Close()
		done <- err
	}()
	c := tls.Client(near, client)
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // in TLS 1.3 the server refuses after the client's handshake
	}
	_ = near.Close()
	serverErr = <-done
	return conn.ConnectionState(), serverErr, clientErr
}

func TestOnlyTheRightKindOfCertificateIsAccepted(t *testing.T) {
	t.Parallel()
	p, other := newParties(t, "one.local"), newParties(t, "other.local")
	foreignName := *p.user()
	foreignName.Cluster = "other.local"
	nobody := &identity.Identity{Name: "alice", Cluster: p.cluster}
	serverCert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	for name, c := range map[string]struct {
		cert *tls.Certificate
		ok   bool
	}{
		"a user's":                            {p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth), true},
		"a host's":                            {p.sign(ca.HostCA, p.host("Db"), 2*time.Hour, both...), true},
		"a user's by the host authority":      {p.sign(ca.HostCA, p.user(), 2*time.Hour, both...), false},
		"a host's by the user authority":      {p.sign(ca.UserCA, p.host("Auth"), 2*time.Hour, both...), false},
		"a user's by the db authority":        {p.sign(ca.DatabaseCA, p.user(), 2*time.Hour, both...), false},
		"a user's by the db_client authority": {p.sign(ca.ClientCA, p.user(), 2*time.Hour, both...), false},
		"a host's by the db authority":        {p.sign(ca.DatabaseCA, p.host("Proxy"), 2*time.Hour, both...), false},
		"a database's":                        {p.sign(ca.DatabaseCA, nobody, 2*time.Hour, both...), false},
		"one for servers only":                {p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageServerAuth), false},
		"one of another cluster":              {other.sign(ca.UserCA, other.user(), 2*time.Hour, both...), false},
		"one that names another cluster":      {p.sign(ca.UserCA, &foreignName, 2*time.Hour, both...), false},
		"an expired one":                      {p.sign(ca.UserCA, p.user(), -30*time.Minute, both...), false},
		"one without an identity":             {p.sign(ca.UserCA, nobody, 2*time.Hour, both...), false},
		"an authority's own":                  {authorityCert(t, p), false},
	} {
		server := mtls.Server(func(string) (*tls.Certificate, error) { return serverCert, nil }, p.trust, true)
		cert := c.cert
		client := mtls.Client(func(string) (*tls.Certificate, error) { return cert, nil }, p.trust, "Auth", "auth")
		_, serverErr, clientErr := shake(t, server, client)
		if got := serverErr == nil && clientErr == nil; got != c.ok {
			t.Errorf("%s: accepted %v (%v, %v)", name, got, serverErr, clientErr)
		}
	}
}

// authorityCert shows an authority's certificate with a key that is not its own, which no handshake accepts,
// and a chain that could be mistaken for the authority's.
func authorityCert(t *testing.T, p *parties) *tls.Certificate {
	t.Helper()
	leaf := p.sign(ca.UserCA, &identity.Identity{Name: "x", Cluster: p.cluster}, 2*time.Hour, both...)
	leaf.Certificate = append(leaf.Certificate, p.authorities[ca.UserCA].Cert.Raw)
	return leaf
}

func TestClientChecksTheRoleOfTheHost(t *testing.T) {
	t.Parallel()
	p := newParties(t, "one.local")
	user := p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth)
	for role, ok := range map[string]bool{"Auth": true, "Proxy": false, "Db": false} {
		cert := p.sign(ca.HostCA, p.host(role), 2*time.Hour, both...)
		server := mtls.Server(func(string) (*tls.Certificate, error) { return cert, nil }, p.trust, true)
		client := mtls.Client(func(string) (*tls.Certificate, error) { return user, nil }, p.trust, "Auth", "auth")
		_, _, err := shake(t, server, client)
		if (err == nil) != ok {
			t.Errorf("host with role %s: %v", role, err)
		}
	}
}

func TestProxiesAreKnownAsHostsOfTheClusterOrByTheirNames(t *testing.T) {
	t.Parallel()
	p, other := newParties(t, "one.local"), newParties(t, "one.local")
	web := newParties(t, "web")
	for rule, c := range map[string]struct {
		cert     *tls.Certificate
		insecure bool
		ok       bool
	}{
		"a proxy of the cluster":                   {p.sign(ca.HostCA, p.host("Proxy"), 2*time.Hour, both...), false, true},
		"another host of the cluster":              {p.sign(ca.HostCA, p.host("Db"), 2*time.Hour, both...), false, false},
		"a proxy whose certificate has ended":      {p.sign(ca.HostCA, p.host("Proxy"), -30*time.Minute, both...), false, false},
		"a user who says to be a proxy":            {p.sign(ca.UserCA, p.host("Proxy"), 2*time.Hour, both...), false, false},
		"a proxy of another cluster":               {other.sign(ca.HostCA, other.host("Proxy"), 2*time.Hour, both...), false, false},
		"a web certificate of a trusted authority": {web.named("proxy.example.com"), false, true},
		"one for another name":                     {web.named("other.example.com"), false, false},
		"one of an unknown authority":              {other.named("proxy.example.com"), false, false},
		"any, where nothing is verified":           {other.named("other.example.com"), true, true},
	} {
		server := mtls.Web(func(string) (*tls.Certificate, error) { return c.cert, nil })
		client := mtls.ToProxy("proxy.example.com", c.insecure, p.trust)
		client.RootCAs = web.trust().Pool(ca.HostCA) // as the system has them
		_, _, err := shake(t, server, client)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", rule, err)
		}
		if err != nil && !errors.As(err, new(*tls.CertificateVerificationError)) {
			t.Errorf("%s: %v is no error of verification", rule, err)
		}
	}
}

func TestPinnedClientTrustsOnlyTheNamedAuthority(t *testing.T) {
	t.Parallel()
	p, other := newParties(t, "one.local"), newParties(t, "one.local")
	cert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	cert.Certificate = append(cert.Certificate, p.authorities[ca.HostCA].Cert.Raw)
	mixed := *cert
	mixed.Certificate = [][]byte{cert.Certificate[0], other.authorities[ca.HostCA].Cert.Raw}
	for name, c := range map[string]struct {
		cert *tls.Certificate
		pins []string
		ok   bool
	}{
		"right pin":                        {cert, []string{ca.Pin(p.authorities[ca.HostCA].Cert)}, true},
		"one of two pins":                  {cert, []string{ca.Pin(other.authorities[ca.HostCA].Cert), ca.Pin(p.authorities[ca.HostCA].Cert)}, true},
		"wrong pin":                        {cert, []string{ca.Pin(other.authorities[ca.HostCA].Cert)}, false},
		"pin of an authority that did not": {&mixed, []string{ca.Pin(other.authorities[ca.HostCA].Cert)}, false},
		"pin of the leaf":                  {cert, []string{ca.Pin(cert.Leaf)}, false},
	} {
		shown := c.cert
		server := mtls.Server(func(string) (*tls.Certificate, error) { return shown, nil }, p.trust, false)
		_, _, err := shake(t, server, mtls.Pinned(c.pins))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if name == "wrong pin" && !errors.Is(err, mtls.ErrPin) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsAreNeverResumed(t *testing.T) {
	t.Parallel()
	p := newParties(t, "one.local")
	cert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	user := p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth)
	server := mtls.Server(func(string) (*tls.Certificate, error) { return cert, nil }, p.trust, true)
	client := mtls.Client(func(string) (*tls.Certificate, error) { return user, nil }, p.trust, "Auth", "auth")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4) // a client that would like to
	for range 3 {
		state, serverErr, clientErr := shake(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		if state.DidResume {
			t.Fatal("a session was resumed")
		}
	}
}
