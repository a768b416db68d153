package auth_test

import (
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

const dba = "kind: role\nversion: v7\nmetadata: {name: dba}\nspec: {allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [b]}}\n"

// visited is a world in which alice has a certificate for the database orders, which an agent serves.
type visited struct {
	*world
	agent *identity.Identity
	cert  []byte
	key   []byte
}

func newVisited(t *testing.T) *visited {
	t.Helper()
	w := newWorld(t)
	w.mustApply(dba)
	w.invite("alice", "dba")
	v := &visited{world: w, agent: w.host(resource.RoleDb)}
	if err := heartbeat(t, w, v.agent, v.agent.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	var err error
	if _, v.key, err = ca.GenerateKeyPair(); err != nil {
		t.Fatal(err)
	}
	res, err := w.as(w.user("alice")).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{
		PublicKey: v.key, Route: &sallyportv1.DatabaseRoute{Service: "orders"}, ProxyTerminated: true})
	if err != nil {
		t.Fatal(err)
	}
	v.cert = res.GetCertificate()
	return v
}

// clientCertificate asks as the agent for what alice's session shows the database.
func (v *visited) clientCertificate(account string) error {
	_, err := v.as(v.agent).Certificates.SignDatabaseClientCertificate(v.t.Context(), &sallyportv1.SignDatabaseClientCertificateRequest{
		PublicKey: v.key, DatabaseService: "orders", DatabaseUser: account, UserCertificate: v.cert})
	return err
}

func (v *visited) proxySession() error {
	_, err := v.proxy.Certificates.SignProxySession(v.t.Context(), &sallyportv1.SignProxySessionRequest{PublicKey: v.key, UserCertificate: v.cert})
	return err
}

// ofDatabase returns the certificate of a database server at the host.
func (v *visited) ofDatabase(host string) []byte {
	v.t.Helper()
	res, err := v.admin.Certificates.SignDatabaseServerCertificate(v.t.Context(), &sallyportv1.SignDatabaseServerCertificateRequest{
		PublicKey: v.key, Hosts: []string{host}})
	if err != nil {
		v.t.Fatal(err)
	}
	return res.GetCertificate()
}

func TestAgentsAndProxiesGetCertificatesForWhatTheUserMayDoNow(t *testing.T) {
	t.Parallel()
	const user = "kind: user\nversion: v2\nmetadata: {name: alice}\n"
	for name, c := range map[string]struct {
		change  func(*visited)
		refused fault.Kind
	}{
		"nothing changed":        {func(*visited) {}, fault.Internal},
		"the role was taken":     {func(v *visited) { v.mustApply(user + "spec: {roles: []}\n") }, fault.AccessDenied},
		"the role allows less":   {func(v *visited) { v.mustApply("kind: role\nversion: v7\nmetadata: {name: dba}\nspec: {}\n") }, fault.AccessDenied},
		"a lock":                 {func(v *visited) { v.mustApply(lockAlice) }, fault.AccessDenied},
		"the account expired":    {func(v *visited) { v.mustApply(user + "spec: {roles: [dba], expires: '2001-01-01T00:00:00Z'}\n") }, fault.AccessDenied},
		"the password was reset": {func(v *visited) { v.reset("alice") }, fault.Unauthenticated},
		"the user is gone":       {func(v *visited) { v.remove("user", "alice") }, fault.Unauthenticated},
		"another of the name": {func(v *visited) {
			v.remove("user", "alice")
			v.invite("alice", "dba")
		}, fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisited(t)
			c.change(v)
			client, session := v.clientCertificate("app"), v.proxySession()
			if c.refused == fault.Internal {
				if client != nil || session != nil {
					t.Errorf("refused: %v, %v", client, session)
				}
				return
			}
			// Who is not authenticated is the agent, for a client certificate. A session's database is looked up first, and is not shown
			// to those who may not see it.
			if !fault.Is(client, fault.AccessDenied) || !fault.Is(session, c.refused) && !fault.Is(session, fault.NotFound) {
				t.Errorf("got %v and %v", client, session)
			}
		})
	}
}

func TestTheCertificateOfADatabaseIsNoUsers(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.cert = v.ofDatabase("alice")
	for _, err := range []error{v.clientCertificate("app"), v.proxySession()} {
		wantKind(t, err, fault.AccessDenied, "the user's certificate is not one of this cluster")
	}
}

func TestAgentsGetCertificatesForAllowedAccountsOnly(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	if err := v.clientCertificate("app"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, v.clientCertificate("postgres"), fault.AccessDenied, "access to db denied")
	wantKind(t, v.clientCertificate(""), fault.BadParameter, "no database user")
}

// TestWhatIsTheAgentsFaultIsNoDenialToTheUser: an agent passes on denials as it got them.
func TestWhatIsTheAgentsFaultIsNoDenialToTheUser(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	v.agent = v.host(resource.RoleDb)
	wantKind(t, v.clientCertificate("app"), fault.NotFound, `this agent does not serve database "orders"`)
	v.clock.Advance(v.agent.Expires.Sub(v.clock.Now()) + time.Second)
	wantKind(t, v.clientCertificate("app"), fault.Unauthenticated, "your certificate expired")
}

func TestEveryCertificateIsRecorded(t *testing.T) {
	t.Parallel()
	v := newVisited(t)
	if err := v.clientCertificate("app"); err != nil {
		t.Fatal(err)
	}
	agent := v.as(v.agent).Certificates
	if _, err := agent.SignListenerCertificate(t.Context(), &sallyportv1.SignListenerCertificateRequest{PublicKey: v.key, DatabaseServices: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.RenewHostCertificate(t.Context(), &sallyportv1.RenewHostCertificateRequest{PublicKey: v.key}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cert_type":"user"`, `"database_users":["app"]`, `"cert_type":"db_client"`, `"cert_type":"listener"`, `"cert_type":"host"`} {
		if n := v.events("cert.create", want); n != 1 {
			t.Errorf("%d events of %s", n, want)
		}
	}
}

func TestTheAdministratorsIdentityIsNotRenewedByTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.admin.Certificates.RenewHostCertificate(t.Context(), &sallyportv1.RenewHostCertificateRequest{PublicKey: public})
	wantKind(t, err, fault.AccessDenied, "renews it by itself")
}

func TestAccountsThatExpiredAreShutOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	end := w.clock.Now().Add(20 * time.Minute).UTC().Truncate(time.Second)
	w.mustApply("kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: [access], expires: '" + end.Format(time.RFC3339) + "'}\n")
	login, err := alice.login("alice", password, alice.code())
	if err != nil {
		t.Fatal(err)
	}
	id := certificate(t, login.GetCertificate())
	if !id.Expires.Equal(end) {
		t.Errorf("the certificate lives until %s, the account until %s", id.Expires, end)
	}
	w.clock.Advance(20 * time.Minute)
	_, err = alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "account expired")
	long := w.user("alice")
	_, err = w.as(long).Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{})
	wantKind(t, err, fault.AccessDenied, "account expired")
}

func TestAPasswordThatIsResetEndsEarlierCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	login, err := alice.login("alice", password, alice.code())
	if err != nil {
		t.Fatal(err)
	}
	before := w.as(certificate(t, login.GetCertificate()))
	if _, err := before.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	token := w.reset("alice")
	_, err = before.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
	wantKind(t, err, fault.Unauthenticated, "log in again")
	invite, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: source("alice")})
	if err != nil {
		t.Fatal(err)
	}
	alice.secret = invite.GetTotpSecret()
	if _, err := w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(token)); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second)
	if login, err = alice.login("alice", password, alice.code()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.as(certificate(t, login.GetCertificate())).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

func TestWhatTheConfigurationWritesIsRecorded(t *testing.T) {
	t.Parallel()
	parse := func(text string) []resource.Resource {
		all, err := resource.ParseYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	var cfg auth.Config
	w := newWorld(t, func(c *auth.Config) {
		c.Bootstrap = parse("kind: role\nversion: v7\nmetadata: {name: boot}\nspec: {}\n")
		c.Startup = parse("kind: role\nversion: v7\nmetadata: {name: always}\nspec: {}\n")
		cfg = *c
	})
	for _, name := range []string{"boot", "always"} {
		if n := w.events("role.created", `"name":"`+name+`"`); n != 1 {
			t.Errorf("%d events of role %s", n, name)
		}
	}
	// A restart records what differs from what is stored.
	if _, err := auth.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Startup = parse("kind: role\nversion: v7\nmetadata: {name: always}\nspec: {allow: {db_users: [app]}}\n")
	if _, err := auth.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if created, updated := w.events("role.created", ""), w.events("role.updated", `"name":"always"`); created != 2 || updated != 1 {
		t.Errorf("%d created, %d updated", created, updated)
	}
}
