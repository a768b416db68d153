package auth_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/route"
)

const joinToken = "kind: token\nversion: v2\nmetadata: {name: feedfacefeedfacefeedfacefeedface}\nspec: {roles: [Db], join_method: token}\n"

// issued is a certificate and what it has to be.
type issued struct {
	pem      []byte
	err      error
	by       ca.Type
	uses     []x509.ExtKeyUsage
	names    []string
	subject  string
	life     time.Duration
	identity bool // it says who its holder is
}

// issueAll has one certificate of every kind issued.
func issueAll(t *testing.T) (v *visited, all map[string]issued) {
	v = newVisited(t)
	v.mustApply(joinToken)
	bob := v.person("bob")
	ctx, agent, admin := t.Context(), v.as(v.agent), v.admin
	client, server := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	host := uuid.NewString()
	left := time.Hour - 30*time.Second // of alice's login: the clock has gone on since

	login, loginErr := bob.login("bob", password, bob.code())
	sign, signErr := admin.Certificates.SignUserCertificate(ctx, &sallyportv1.SignUserCertificateRequest{User: "alice", PublicKey: v.key, Ttl: durationpb.New(2 * time.Hour)})
	alice := v.user("alice")
	alice.LoginExpires = v.clock.Now().Add(left)
	exchange, exchangeErr := v.as(alice).Certificates.IssueUserCertificate(ctx, &sallyportv1.IssueUserCertificateRequest{
		PublicKey: v.key, Route: &sallyportv1.DatabaseRoute{Service: "orders"}, Ttl: durationpb.New(100 * time.Hour)})
	session, sessionErr := v.proxy.Certificates.SignProxySession(ctx, &sallyportv1.SignProxySessionRequest{PublicKey: v.key, UserCertificate: v.cert})
	join, joinErr := v.proxy.Join.Join(ctx, &sallyportv1.JoinRequest{Token: "feedfacefeedfacefeedfacefeedface", Roles: []string{"Db"},
		HostId: host, NodeName: "node.example.com", PublicKey: v.key, ClientAddress: "192.0.2.77:1"})
	renewed, renewErr := agent.Certificates.RenewHostCertificate(ctx, &sallyportv1.RenewHostCertificateRequest{PublicKey: v.key})
	listener, listenerErr := agent.Certificates.SignListenerCertificate(ctx, &sallyportv1.SignListenerCertificateRequest{PublicKey: v.key, DatabaseServices: []string{"orders"}})
	db, dbErr := admin.Certificates.SignDatabaseServerCertificate(ctx, &sallyportv1.SignDatabaseServerCertificateRequest{PublicKey: v.key, Hosts: []string{"db.example.com", "192.0.2.1"}})
	account, accountErr := agent.Certificates.SignDatabaseClientCertificate(ctx, &sallyportv1.SignDatabaseClientCertificateRequest{
		PublicKey: v.key, DatabaseService: "orders", DatabaseUser: "app", UserCertificate: v.cert})

	const week = 7 * 24 * time.Hour
	return v, map[string]issued{
		"of a login":                   {login.GetCertificate(), loginErr, ca.UserCA, client, nil, "CN=bob,O=" + cluster, 12 * time.Hour, true},
		"signed for a user":            {sign.GetCertificate(), signErr, ca.UserCA, client, nil, "CN=alice,O=" + cluster, 2 * time.Hour, true},
		"of a database login":          {exchange.GetCertificate(), exchangeErr, ca.UserCA, client, nil, "CN=alice,O=" + cluster, left, true},
		"of a session through a proxy": {session.GetCertificate(), sessionErr, ca.UserCA, client, nil, "CN=alice,O=" + cluster, time.Minute, true},
		"of a host that joined": {join.GetIdentity().GetCertificate(), joinErr, ca.HostCA, slices.Concat(client, server),
			[]string{host + "." + cluster}, "CN=" + host + ",O=" + cluster, week, true},
		"of a host that stays": {renewed.GetIdentity().GetCertificate(), renewErr, ca.HostCA, slices.Concat(client, server),
			[]string{v.agent.Name + "." + cluster}, "CN=" + v.agent.Name + ",O=" + cluster, week, true},
		"of an agent's listener": {listener.GetCertificate(), listenerErr, ca.HostCA, server,
			[]string{route.ServerName("orders", cluster)}, "CN=" + v.agent.Name + ",O=" + cluster, 24 * time.Hour, false},
		"of a database": {db.GetCertificate(), dbErr, ca.DatabaseCA, slices.Concat(server, client),
			[]string{"db.example.com", "192.0.2.1"}, "CN=db.example.com,O=" + cluster, 12 * time.Hour, false},
		"of a database's client": {account.GetCertificate(), accountErr, ca.ClientCA, client, nil, "CN=app", 5 * time.Minute, false},
	}
}

func TestCertificatesSayWhatTheyAreForAndNothingElse(t *testing.T) {
	t.Parallel()
	v, all := issueAll(t)
	trust, now := v.auth.Trust(), v.clock.Now()
	serials := map[string]string{}
	for name, c := range all {
		if c.err != nil {
			t.Errorf("%s: %v", name, c.err)
			continue
		}
		cert, err := ca.ParseCertificate(c.pem)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, typ := range ca.Types {
			_, err := cert.Verify(x509.VerifyOptions{Roots: trust.Pool(typ), CurrentTime: now, KeyUsages: c.uses[:1]})
			if (err == nil) != (typ == c.by) {
				t.Errorf("%s, by the %s authority: %v", name, typ, err)
			}
		}
		if cert.IsCA || !cert.BasicConstraintsValid {
			t.Errorf("%s does not say that it is no authority", name)
		}
		if cert.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(cert.ExtKeyUsage, c.uses) || len(cert.UnknownExtKeyUsage) > 0 {
			t.Errorf("%s has the usages %b, %v, %v", name, cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
		}
		names := slices.Clone(cert.DNSNames)
		for _, ip := range cert.IPAddresses {
			names = append(names, ip.String())
		}
		if !slices.Equal(names, c.names) || len(cert.URIs)+len(cert.EmailAddresses) > 0 {
			t.Errorf("%s has the names %v, %v, %v; want %v", name, names, cert.URIs, cert.EmailAddresses, c.names)
		}
		if cert.Subject.String() != c.subject {
			t.Errorf("%s is of %s, want %s", name, cert.Subject, c.subject)
		}
		if !cert.NotBefore.Equal(now.Add(-time.Minute).Truncate(time.Second)) || !cert.NotAfter.Equal(now.Add(c.life).Truncate(time.Second)) {
			t.Errorf("%s is valid from %s to %s at %s", name, cert.NotBefore, cert.NotAfter, now)
		}
		if id, err := identity.FromCertificate(cert); (err == nil) != c.identity || c.identity && id.Cluster != cluster {
			t.Errorf("%s has an identity: %v, %v", name, id, err)
		}
		serial := cert.SerialNumber
		if other := serials[serial.String()]; other != "" || serial.BitLen() < 64 { // of 127 random ones
			t.Errorf("%s has the number %s, that of %q", name, serial, other)
		}
		serials[serial.String()] = name
	}
}

func TestCertificatesLiveNoLongerThanTheyMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: long}\nspec: {options: {max_session_ttl: 300h}}\n" +
		"---\nkind: role\nversion: v7\nmetadata: {name: short}\nspec: {options: {max_session_ttl: 90m}}\n")
	w.invite("lasting", "long")
	w.invite("short", "short")
	_, key, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(user string, ttl time.Duration) ([]byte, error) {
		res, err := w.admin.Certificates.SignUserCertificate(t.Context(), &sallyportv1.SignUserCertificateRequest{User: user, PublicKey: key, Ttl: durationpb.New(ttl)})
		return res.GetCertificate(), err
	}
	exchanged := func(login, ttl time.Duration) ([]byte, error) {
		id := w.user("lasting")
		id.Expires, id.LoginExpires = w.clock.Now().Add(login), w.clock.Now().Add(login)
		res, err := w.as(id).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: key, Ttl: durationpb.New(ttl)})
		return res.GetCertificate(), err
	}
	database := func(ttl time.Duration) ([]byte, error) {
		res, err := w.admin.Certificates.SignDatabaseServerCertificate(t.Context(), &sallyportv1.SignDatabaseServerCertificateRequest{
			PublicKey: key, Hosts: []string{"db"}, Ttl: durationpb.New(ttl)})
		return res.GetCertificate(), err
	}
	const years = 10 * 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		get  func() ([]byte, error)
		life time.Duration // 0 when it is refused
	}{
		"signed for a user, no wish":             {func() ([]byte, error) { return signed("lasting", 0) }, 12 * time.Hour},
		"signed for a user, no wish, short role": {func() ([]byte, error) { return signed("short", 0) }, 90 * time.Minute},
		"signed for a user, as the role says":    {func() ([]byte, error) { return signed("short", 90*time.Minute) }, 90 * time.Minute},
		"signed for a user, longer":              {func() ([]byte, error) { return signed("short", 91*time.Minute) }, 0},
		"signed for a user, as a role of days":   {func() ([]byte, error) { return signed("lasting", 300*time.Hour) }, 300 * time.Hour},
		"signed for a user, longer than days":    {func() ([]byte, error) { return signed("lasting", 301*time.Hour) }, 0},
		"signed for a user, before it begins":    {func() ([]byte, error) { return signed("lasting", -time.Hour) }, 12 * time.Hour},
		"exchanged, shorter":                     {func() ([]byte, error) { return exchanged(5*time.Hour, time.Hour) }, time.Hour},
		"exchanged, longer than the login":       {func() ([]byte, error) { return exchanged(5*time.Hour, 6*time.Hour) }, 5 * time.Hour},
		"exchanged, no wish":                     {func() ([]byte, error) { return exchanged(5*time.Hour, 0) }, 5 * time.Hour},
		"exchanged, of a login of days":          {func() ([]byte, error) { return exchanged(100*time.Hour, 0) }, 30 * time.Hour},
		"of a database, no wish":                 {func() ([]byte, error) { return database(0) }, 12 * time.Hour},
		"of a database, ten years":               {func() ([]byte, error) { return database(years) }, years},
		"of a database, longer":                  {func() ([]byte, error) { return database(years + time.Hour) }, 0},
		"of a database, before it begins":        {func() ([]byte, error) { return database(-time.Hour) }, 0},
	} {
		pem, err := c.get()
		if c.life == 0 {
			if !fault.Is(err, fault.BadParameter) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		cert, parseErr := ca.ParseCertificate(pem)
		if err != nil || parseErr != nil {
			t.Errorf("%s: %v, %v", name, err, parseErr)
			continue
		}
		if want := w.clock.Now().Add(c.life).Truncate(time.Second); !cert.NotAfter.Equal(want) {
			t.Errorf("%s: until %s, want %s", name, cert.NotAfter, want)
		}
	}
}

// TestDatabaseClientsCertificatesEndWithTheUsers has the agent ask when the user's own certificate has a minute left.
func TestDatabaseClientsCertificatesEndWithTheUsers(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.clock.Advance(59 * time.Minute)
	if err := heartbeat(t, v.world, v.agent, v.agent.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	res, err := v.as(v.agent).Certificates.SignDatabaseClientCertificate(t.Context(), &sallyportv1.SignDatabaseClientCertificateRequest{
		PublicKey: v.key, DatabaseService: "orders", DatabaseUser: "app", UserCertificate: v.cert})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.ParseCertificate(res.GetCertificate())
	if err != nil {
		t.Fatal(err)
	}
	if left := cert.NotAfter.Sub(v.clock.Now()); left > time.Minute {
		t.Errorf("it lives for %s, the user's for a minute", left)
	}
}

func TestCertificatesOfDatabasesAreForHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, key, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	for host, right := range map[string]bool{
		"db": true, "db_1.example.com": true, "*.db.example.com": true, "192.0.2.1": true, "2001:db8::1": true,
		"a b": false, "db.example.com:5432": false, "https://db": false, "db..example.com": false, "*": false, "db,other": false, strings.Repeat("a.", 127): false,
	} {
		_, err := w.admin.Certificates.SignDatabaseServerCertificate(t.Context(), &sallyportv1.SignDatabaseServerCertificateRequest{PublicKey: key, Hosts: []string{"fine", host}})
		if right != (err == nil) || !right && !strings.Contains(err.Error(), "is neither a host name nor an address") {
			t.Errorf("%q: %v", host, err)
		}
	}
}
