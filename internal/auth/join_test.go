package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

func (w *world) join(token, host string, roles ...string) (*sallyportv1.JoinResponse, error) {
	w.t.Helper()
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.as(nil).Join.Join(w.t.Context(), &sallyportv1.JoinRequest{Token: token, HostId: host, NodeName: "n", Roles: roles, PublicKey: public})
}

func (w *world) token(roles ...string) string {
	w.t.Helper()
	res, err := w.admin.Join.CreateToken(w.t.Context(), &sallyportv1.CreateTokenRequest{Roles: roles})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.GetToken()
}

func newKey(t *testing.T) []byte {
	t.Helper()
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestTokenGrantsItsRolesUntilItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token("db")
	res, err := w.join(token, uuid.NewString(), "Db")
	if err != nil {
		t.Fatal(err)
	}
	id := certificate(t, res.GetIdentity().GetCertificate())
	if !id.HasSystemRole("Db") || id.HasSystemRole("Proxy") || id.JoinToken == "" || id.JoinToken == token {
		t.Fatalf("identity is %+v", id)
	}
	for name, join := range map[string]func() error{
		"another role":  func() error { _, err := w.join(token, uuid.NewString(), "Proxy"); return err },
		"one too many":  func() error { _, err := w.join(token, uuid.NewString(), "Db", "Auth"); return err },
		"unknown token": func() error { _, err := w.join("guess", uuid.NewString(), "Db"); return err },
		"no token":      func() error { _, err := w.join("", uuid.NewString(), "Db"); return err },
	} {
		if err := join(); !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.Advance(30 * time.Minute)
	_, err = w.join(token, uuid.NewString(), "Db")
	wantKind(t, err, fault.AccessDenied, "has expired")
	if w.events("instance.join", `"code":"TJ002E"`) < 4 || w.events("instance.join", `"code":"TJ002I"`, `"token_expires":"`) != 1 {
		t.Fatal("joins were not recorded")
	}
	if w.events("instance.join", token) != 0 || w.events("join_token.create", token) != 0 {
		t.Fatal("the token is in the log")
	}
}

func TestUsedUpTokenLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: once-and-no-more}\nspec: {roles: [Db], uses_left: 1}\n")
	if _, err := w.join("once-and-no-more", uuid.NewString(), "Db"); err != nil {
		t.Fatal(err)
	}
	_, err := w.join("once-and-no-more", uuid.NewString(), "Db")
	wantKind(t, err, fault.AccessDenied, "used up")
}

func TestHostIDsAreNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := uuid.NewString()
	if _, err := w.join(w.token("db"), host, "Db"); err != nil {
		t.Fatal(err)
	}
	_, err := w.join(w.token("db"), host, "Db")
	wantKind(t, err, fault.AccessDenied, "")
	_, err = w.join(w.token("db"), w.auth.HostID, "Db")
	wantKind(t, err, fault.AccessDenied, "another service of this cluster already uses this data directory's host id; give this one another teleport.data_dir")
	if n := w.events("instance.join", "host id is taken"); n != 2 {
		t.Fatalf("%d refusals were recorded", n)
	}
	_, err = w.join(w.token("db"), "../../etc", "Db")
	wantKind(t, err, fault.BadParameter, "UUID")
}

func TestARunningHostKeepsItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, first := uuid.NewString(), w.token("db")
	res, err := w.join(first, host, "Db")
	if err != nil {
		t.Fatal(err)
	}
	agent := certificate(t, res.GetIdentity().GetCertificate())
	w.clock.Advance(31 * time.Minute) // the token ends
	if err := heartbeat(t, w, agent, host, "orders"); err != nil {
		t.Fatal(err)
	}
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: once-and-no-more}\nspec: {roles: [Db], uses_left: 1}\n")
	_, err = w.join("once-and-no-more", host, "Db")
	wantKind(t, err, fault.AccessDenied, "remove host_uuid")
	w.clock.Advance(16 * time.Minute) // the heartbeat ends
	if _, err := w.as(agent).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.join("once-and-no-more", host, "Db")
	wantKind(t, err, fault.AccessDenied, "remove host_uuid")
	if n := w.events("instance.join", "by a host that runs"); n != 2 {
		t.Errorf("%d refusals were recorded", n)
	}
	w.clock.Advance(time.Minute) // it is not heard any more
	if _, err := w.join("once-and-no-more", host, "Db"); err != nil {
		t.Errorf("a host that is down, with a token whose use was not spent: %v", err)
	}
}

func TestARunningHostJoinsAgainWithItsCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, first := uuid.NewString(), w.token("db")
	res, err := w.join(first, host, "Db")
	if err != nil {
		t.Fatal(err)
	}
	agent := certificate(t, res.GetIdentity().GetCertificate())
	if err := heartbeat(t, w, agent, host, "orders"); err != nil {
		t.Fatal(err)
	}
	again := &sallyportv1.JoinRequest{Token: w.token("db", "proxy"), HostId: host, NodeName: "n", Roles: []string{"Db", "Proxy"}, PublicKey: newKey(t)}
	_, err = w.as(nil).Join.Join(t.Context(), again)
	wantKind(t, err, fault.AccessDenied, "")
	_, err = w.as(w.host(resource.RoleDb)).Join.Join(t.Context(), again)
	wantKind(t, err, fault.AccessDenied, "")
	if _, err := w.as(agent).Join.Join(t.Context(), again); err != nil {
		t.Errorf("the host itself: %v", err)
	}
	again.ClientAddress = "192.0.2.1:1"
	again.Token = w.token("db", "proxy")
	_, err = w.as(agent).Join.Join(t.Context(), again)
	wantKind(t, err, fault.AccessDenied, "") // passed on for somebody else
}

// brokenStore fails to read keys of a kind.
type brokenStore struct {
	store.Store
	kind string
}

func (s *brokenStore) Get(ctx context.Context, key string) (store.Item, error) {
	if s.kind != "" && strings.HasPrefix(key, "/"+s.kind+"/") {
		return store.Item{}, errors.New("input/output error")
	}
	return s.Store.Get(ctx, key)
}

func TestAFailureOfTheStoreIsNotARefusedToken(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"token", "host_record", "db_service"} {
		broken := &brokenStore{}
		w := newWorld(t, func(c *auth.Config) {
			broken.Store = c.Store
			c.Store = broken
		})
		token := w.token("db")
		broken.kind = kind
		if _, err := w.join(token, uuid.NewString(), "Db"); !fault.Is(err, fault.Internal) {
			t.Errorf("%s cannot be read: %v", kind, err)
		}
	}
}

func TestAuthServersDoNotJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.join(w.token("auth", "db"), uuid.NewString(), "Auth", "Db")
	wantKind(t, err, fault.AccessDenied, "does not join with a token")
}

func TestTokensThatCanBeGuessedAreNotMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.admin.Join.CreateToken(t.Context(), &sallyportv1.CreateTokenRequest{Roles: []string{"db"}, Value: "a"})
	wantKind(t, err, fault.BadParameter, "at least 16 characters")
	_, err = w.admin.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: &sallyportv1.Resource{Kind: "token",
		Json: []byte(`{"kind":"token","version":"v2","metadata":{"name":"fifteen letters"},"spec":{"roles":["Db"],"join_method":"token"}}`)}})
	wantKind(t, err, fault.BadParameter, "at least 16 characters")
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: a}\nspec: {roles: [Db], join_method: iam, allow: [{aws_account: '123456789012'}]}\n")
}

func TestTokensAreShownToTheAdministratorWhoAsksForSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: looker}\nspec: {allow: {rules: [{resources: [token], verbs: [list, read, delete, create, update]}]}}\n")
	w.invite("lou", "looker")
	lou, token := w.as(w.user("lou")), w.token("db")
	list := func(api *authapi.Client, secrets bool) string {
		res, err := api.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "token", WithSecrets: secrets})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(res.GetResources())
	}
	for name, shown := range map[string]string{"a user": list(lou, false), "the administrator who does not ask": list(w.admin, false)} {
		if strings.Contains(shown, token) || !strings.Contains(shown, "****"+token[28:]) {
			t.Errorf("%s is shown %s", name, shown)
		}
	}
	if shown := list(w.admin, true); !strings.Contains(shown, token) {
		t.Errorf("the administrator is shown %s", shown)
	}
	_, err := lou.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "token", WithSecrets: true})
	wantKind(t, err, fault.AccessDenied, "secrets are shown only")
	// Whoever knows the value works with it.
	got, err := lou.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "token", Name: token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lou.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: got.GetResource()}); err != nil {
		t.Errorf("written again: %v", err)
	}
	wantKind(t, apply(t, lou, "kind: token\nversion: v2\nmetadata: {name: '****************************beef'}\nspec: {roles: [Db]}\n"), fault.BadParameter, "masked")
	if _, err := lou.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: "token", Name: token}); err != nil {
		t.Errorf("deleted: %v", err)
	}
}

func TestAFloodOfRefusedJoinsRaisesAnAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	try := func(i int) {
		_, err := w.proxy.Join.Join(t.Context(), &sallyportv1.JoinRequest{Token: "guess", HostId: uuid.NewString(), Roles: []string{"Db"}, PublicKey: public,
			ClientAddress: fmt.Sprintf("198.51.100.%d:1", i)})
		wantKind(t, err, fault.AccessDenied, "not accepted")
	}
	for i := range 100 {
		try(i)
	}
	w.clock.Advance(2 * time.Minute)
	for i := range 100 {
		try(i)
	}
	if w.events("alert.join_failures", "") != 0 {
		t.Error("an alert for 100 a minute")
	}
	for i := range 3 {
		try(i)
	}
	if n := w.events("alert.join_failures", `"failures":101`); n != 1 {
		t.Errorf("%d alerts for more than 100 a minute", n)
	}
}

func TestUserCertificateOfAnAdministratorIsCapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: short}\nspec: {options: {max_session_ttl: 1h}}\n")
	w.invite("alice", "short")
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	req := &sallyportv1.SignUserCertificateRequest{User: "alice", PublicKey: public}
	res, err := w.admin.Certificates.SignUserCertificate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if id := certificate(t, res.GetCertificate()); id.Expires.Sub(w.clock.Now()) > time.Hour || id.Impersonator == "" {
		t.Fatalf("identity is %+v", id)
	}
	w.mustApply(lockAlice)
	_, err = w.admin.Certificates.SignUserCertificate(t.Context(), req)
	wantKind(t, err, fault.AccessDenied, "lock targeting")
}

func TestErrorsDoNotRepeatTheSecretOfAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const secret = "a-secret-mistyped-at-its-end"
	_, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: resource.KindToken, Name: secret})
	wantKind(t, err, fault.NotFound, resource.MaskToken(secret))
	_, err = w.admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: resource.KindToken, Name: secret})
	wantKind(t, err, fault.NotFound, resource.MaskToken(secret))
}
