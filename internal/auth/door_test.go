package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

const lockAlice = `
kind: lock
version: v2
metadata: {name: 11111111-1111-4111-8111-111111111111}
spec: {target: {user: alice}, message: on leave}
`

func TestStrangersMayDoNearlyNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.as(nil)
	if _, err := stranger.Cluster.Ping(t.Context(), &sallyportv1.PingRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := stranger.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "role"})
	wantKind(t, err, fault.Unauthenticated, "needs a certificate")
	_, err = stranger.Login.Login(t.Context(), &sallyportv1.LoginRequest{User: "alice", ClientAddress: "192.0.2.1:1"})
	wantKind(t, err, fault.Unauthenticated, "")
	stream, err := stranger.Resources.WatchResources(t.Context(), &sallyportv1.WatchResourcesRequest{Kinds: []string{"role"}})
	if err != nil {
		t.Fatal(err)
	}
	if stream.Receive() {
		t.Fatal("a stranger watches roles")
	}
	wantKind(t, stream.Err(), fault.Unauthenticated, "")
}

func TestUsersMayDoWhatTheirRolesGrantNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("eve", "editor")
	w.invite("alice", "access")
	eve, alice := w.as(w.user("eve")), w.as(w.user("alice"))
	role := "kind: role\nversion: v7\nmetadata: {name: new}\nspec: {}\n"
	if err := apply(t, eve, role); err != nil {
		t.Fatal(err)
	}
	wantKind(t, apply(t, alice, role), fault.AccessDenied, "do not allow")
	w.mustApply("kind: user\nversion: v2\nmetadata: {name: eve}\nspec: {roles: [access]}\n")
	wantKind(t, apply(t, eve, role), fault.AccessDenied, "do not allow")
	w.admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: "user", Name: "eve"})
	wantKind(t, apply(t, eve, role), fault.Unauthenticated, "no longer exists")
}

func TestNobodyWidensTheirOwnRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("eve", "editor")
	eve := w.as(w.user("eve"))
	wantKind(t, apply(t, eve, "kind: user\nversion: v2\nmetadata: {name: eve}\nspec: {roles: [editor, auditor]}\n"), fault.AccessDenied, "your own roles")
	wantKind(t, apply(t, eve, "kind: role\nversion: v7\nmetadata: {name: editor}\nspec: {allow: {db_labels: {'*': '*'}, db_users: ['*']}}\n"), fault.AccessDenied, "you hold the role")
}

func TestLockedUsersAndExpiredCertificatesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice", "access")
	alice := w.as(w.user("alice"))
	if _, err := alice.Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{}); err != nil {
		t.Fatal(err)
	}
	w.mustApply(lockAlice)
	_, err := alice.Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{})
	wantKind(t, err, fault.AccessDenied, `lock targeting User:"alice" is in force: on leave`)
	w.admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: "lock", Name: "11111111-1111-4111-8111-111111111111"})
	w.clock.Advance(2 * time.Hour)
	_, err = alice.Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{})
	wantKind(t, err, fault.Unauthenticated, "certificate expired")
}

func TestHostsSpeakForThemselvesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.host(resource.RoleDb), w.host(resource.RoleDb)
	api := w.as(one)
	if err := heartbeat(t, w, one, one.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, heartbeat(t, w, one, other.Name, "billing"), fault.AccessDenied, "")
	_, err := api.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "user"})
	wantKind(t, err, fault.AccessDenied, "")
	_, err = api.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "token"})
	wantKind(t, err, fault.AccessDenied, "")
	_, err = api.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "cert_authority", Name: "user", WithSecrets: true})
	wantKind(t, err, fault.AccessDenied, "secrets")
	res, err := api.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "cert_authority", Name: "user"})
	if err != nil {
		t.Fatal(err)
	}
	if json := string(res.GetResource().GetJson()); strings.Contains(json, `"key"`) {
		t.Fatalf("private key in %s", json)
	}
	_, err = api.Audit.SubmitEvents(t.Context(), &sallyportv1.SubmitEventsRequest{Stream: uuid.NewString(),
		Events: [][]byte{[]byte(`{"v":1,"ei":0,"event":"auth","code":"T3007W","uid":"` + uuid.NewString() + `","time":"2026-01-02T03:04:05.000Z","cluster_name":"test.local","server_id":"` + other.Name + `","success":false}`)}})
	wantKind(t, err, fault.AccessDenied, "of its own")
}

// heartbeat registers a database as one host about another.
func heartbeat(t *testing.T, w *world, as *identity.Identity, about, name string) error {
	t.Helper()
	return heartbeatOf(t, w, as, about, name, "dynamic")
}

// heartbeatOf does so for a database of another origin.
func heartbeatOf(t *testing.T, w *world, as *identity.Identity, about, name, origin string) error {
	t.Helper()
	return serve(t, w, as, about, "kind: db\nversion: v3\nmetadata: {name: "+name+", labels: {teleport.dev/origin: "+origin+"}}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n")
}

// serve registers a database, given as it is written, as one host about another.
func serve(t *testing.T, w *world, as *identity.Identity, about, db string) error {
	t.Helper()
	all, err := resource.ParseYAML([]byte(db))
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.New(resource.KindDatabaseServer)
	if err != nil {
		t.Fatal(err)
	}
	server, name := r.(*resource.DatabaseServer), all[0].GetName()
	server.Metadata.Name = name
	server.Spec = resource.DatabaseServerSpec{HostID: about, Hostname: "h", Version: "0", Database: all[0].(*resource.Database)}
	json, err := resource.Encode(server)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.as(as).Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{
		Resource: &sallyportv1.Resource{Kind: resource.KindDatabaseServer, Name: name, Json: json}})
	return err
}

func TestNoAgentShadowsAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.host(resource.RoleDb), w.host(resource.RoleDb)
	if err := heartbeat(t, w, first, first.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, heartbeat(t, w, second, second.Name, "orders"), fault.AccessDenied, "already served by another agent")
	w.mustApply("kind: db\nversion: v3\nmetadata: {name: orders}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n")
	if err := heartbeat(t, w, second, second.Name, "orders"); err != nil {
		t.Fatalf("with a db resource: %v", err)
	}
}

// TestWhatIsWrittenIsNotTakenByWhatIsFound has one name in the file of an agent, and of a database that somebody tagged so.
func TestWhatIsWrittenIsNotTakenByWhatIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, hosts := w.token("db"), make([]*identity.Identity, 2)
	for i := range hosts {
		joined, err := w.join(token, uuid.NewString(), "Db")
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = certificate(t, joined.GetIdentity().GetCertificate())
	}
	finds := w.as(w.host(resource.RoleDiscovery))
	if err := heartbeatOf(t, w, hosts[0], hosts[0].Name, "orders", "config-file"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, heartbeatOf(t, w, hosts[1], hosts[1].Name, "orders", "cloud"), fault.AccessDenied, "written in the file of agent h")
	const found = "kind: db\nversion: v3\nmetadata: {name: %s, labels: {teleport.dev/origin: cloud}}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n"
	wantKind(t, apply(t, finds, fmt.Sprintf(found, "orders")), fault.AlreadyExists, "written in the file of agent h")
	if err := heartbeatOf(t, w, hosts[0], hosts[0].Name, "books", "cloud"); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, finds, fmt.Sprintf(found, "books")); err != nil {
		t.Errorf("a database that an agent has found by itself: %v", err)
	}
}

// TestUsersAreNotToldExternalIDs has a user list a database that is reached by a role of another account.
func TestUsersAreNotToldExternalIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice", "access")
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: access}\nspec: {allow: {db_labels: {'*': '*'}, db_users: [a], db_names: [b]}}\n")
	host := w.host(resource.RoleDb)
	if err := serve(t, w, host, host.Name, "kind: db\nversion: v3\nmetadata: {name: orders}\nspec: {protocol: postgres, uri: 'orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432', "+
		"aws: {account_id: '222222222222', assume_role_arn: 'arn:aws:iam::222222222222:role/databases', external_id: only-for-agents}}\n"); err != nil {
		t.Fatal(err)
	}
	res, err := w.as(w.user("alice")).Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{})
	if err != nil || len(res.GetDatabases()) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	if json := string(res.GetDatabases()[0].GetJson()); strings.Contains(json, "only-for-agents") || !strings.Contains(json, "role/databases") {
		t.Error(json)
	}
}

func TestADatabaseResourceSaysWhatIsServedUnderItsName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ uri, protocol, labels, reason string }{
		"the same":         {"localhost:5432", "postgres", "{}", ""},
		"another address":  {"db.example.com:5432", "postgres", "{}", "in its address"},
		"another protocol": {"localhost:5432", "cockroachdb", "{}", "in its protocol"},
		"other labels":     {"localhost:5432", "postgres", "{env: prod}", "in its labels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustApply("kind: db\nversion: v3\nmetadata: {name: orders, labels: " + c.labels + "}\nspec: {protocol: " + c.protocol + ", uri: '" + c.uri + "'}\n")
			agent := w.host(resource.RoleDb)
			err := heartbeat(t, w, agent, agent.Name, "orders")
			if c.reason == "" && err != nil {
				t.Fatal(err)
			}
			if c.reason != "" {
				wantKind(t, err, fault.AccessDenied, c.reason)
			}
		})
	}
}

func TestAnAgentRemovesWhatItMayNotServeAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host(resource.RoleDb)
	if err := heartbeat(t, w, agent, agent.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	w.mustApply("kind: db\nversion: v3\nmetadata: {name: orders}\nspec: {protocol: postgres, uri: 'db.example.com:5432'}\n")
	if _, err := w.as(agent).Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: "db_server", Name: "orders/" + agent.Name}); err != nil {
		t.Fatal(err)
	}
}

func TestReissueNeverWidens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice", "access")
	host := w.host(resource.RoleDb)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: access}\nspec: {allow: {db_labels: {'*': '*'}, db_users: [a], db_names: [b]}}\n")
	if err := heartbeat(t, w, host, host.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	route := &sallyportv1.DatabaseRoute{Service: "orders"}
	pinned := w.user("alice")
	pinned.PinnedIP, pinned.MFADevice = "192.0.2.7", "device"
	res, err := w.from("192.0.2.7:1000", pinned).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public, Route: route})
	if err != nil {
		t.Fatal(err)
	}
	got := certificate(t, res.GetCertificate())
	if got.PinnedIP != "192.0.2.7" || got.MFADevice != "device" || got.Route.Service != "orders" || got.Route.Protocol != "postgres" {
		t.Fatalf("identity is %+v", got)
	}
	if got.Expires.After(pinned.LoginExpires) {
		t.Fatalf("certificate outlives the login: %s after %s", got.Expires, pinned.LoginExpires)
	}
	final := w.user("alice")
	final.DisallowReissue = true
	_, err = w.as(final).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public, Route: route})
	wantKind(t, err, fault.AccessDenied, "cannot be exchanged")
	routed := w.user("alice")
	routed.Route = &identity.Route{Service: "orders", Protocol: "postgres"}
	_, err = w.as(routed).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public})
	wantKind(t, err, fault.AccessDenied, "for one database")
	_, err = w.as(w.user("alice")).Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public, Route: &sallyportv1.DatabaseRoute{Service: "hidden"}})
	wantKind(t, err, fault.NotFound, "see tsh db ls for those you can use; if it is missing there, ask an administrator to run tctl db check ")
}
