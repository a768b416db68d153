package auth_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/seal"
	"sallyport/internal/store/memory"
	"sallyport/internal/store/storetest"
)

const cluster = "test.local"

// world is an authority with a clock that tests move, and clients of its API.
type world struct {
	t     *testing.T
	cfg   auth.Config
	clock *storetest.Clock
	auth  *auth.Authority
	admin *authapi.Client
	proxy *authapi.Client
}

func newWorld(t *testing.T, change ...func(*auth.Config)) *world {
	t.Helper()
	clock := storetest.NewClock()
	hostID := uuid.NewString()
	log, err := eventlog.Open(t.Context(), eventlog.Config{
		Dir: t.TempDir(), HostID: hostID, Now: clock.Now, Log: slog.New(slog.DiscardHandler),
		Encoder: audit.NewEncoder(cluster, audit.NewUIDs(rand.Reader)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	sealer, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	cfg := auth.Config{
		Store: memory.New(clock.Now), Sealer: sealer, Log: log, ClusterName: cluster, HostID: hostID, Version: "0.0.0",
		Now: clock.Now, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	w := &world{t: t, cfg: cfg, clock: clock}
	if w.auth, err = auth.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	w.admin = w.as(w.host(resource.RoleAdmin))
	w.proxy = w.as(w.host(resource.RoleProxy))
	return w
}

// restart opens the same cluster again, as after a restart of the process.
func (w *world) restart() *auth.Authority {
	w.t.Helper()
	a, err := auth.New(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// as returns a client whose calls are made as the identity; nil is a stranger.
func (w *world) as(id *identity.Identity) *authapi.Client {
	w.t.Helper()
	local, api := authapi.NewLocal(w.auth.Handler(), id)
	w.t.Cleanup(local.Close)
	return api
}

func (w *world) host(roles ...resource.SystemRole) *identity.Identity {
	w.t.Helper()
	id, _, err := w.auth.LocalIdentity(uuid.NewString(), time.Hour, roles...)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// user returns the identity of a stored user as its login certificate carries it.
func (w *world) user(name string) *identity.Identity {
	return &identity.Identity{Kind: identity.User, Cluster: cluster, Name: name, Expires: w.clock.Now().Add(time.Hour), LoginExpires: w.clock.Now().Add(time.Hour)}
}

// apply writes the resources of a YAML text as the client.
func apply(t *testing.T, api *authapi.Client, text string) error {
	t.Helper()
	all, err := resource.ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		json, err := resource.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: &sallyportv1.Resource{Kind: r.GetKind(), Name: r.GetName(), Json: json}}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) mustApply(text string) {
	w.t.Helper()
	if err := apply(w.t, w.admin, text); err != nil {
		w.t.Fatal(err)
	}
}

// invite makes a user and returns the token of its link.
func (w *world) invite(name string, roles ...string) string {
	w.t.Helper()
	if len(roles) == 0 {
		roles = []string{"access"}
	}
	res, err := w.admin.Users.CreateUser(w.t.Context(), &sallyportv1.CreateUserRequest{Name: name, Roles: roles})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.GetLink().GetToken()
}

const password = "correct horse battery staple"

// person is a user who has accepted its invite.
type person struct {
	w      *world
	name   string
	secret string
}

func (w *world) person(name string, roles ...string) *person {
	w.t.Helper()
	token := w.invite(name, roles...)
	invite, err := w.proxy.Login.GetInvite(w.t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: source(name)})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &person{w: w, name: name, secret: invite.GetTotpSecret()}
	if _, err := w.proxy.Login.AcceptInvite(w.t.Context(), p.acceptance(token)); err != nil {
		w.t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second) // the code of the invite is used up
	return p
}

func (p *person) acceptance(token string) *sallyportv1.AcceptInviteRequest {
	return &sallyportv1.AcceptInviteRequest{Token: token, Password: password, TotpCode: p.code(), ClientAddress: source(p.name)}
}

func (p *person) code() string {
	p.w.t.Helper()
	code, err := totp.GenerateCode(p.secret, p.w.clock.Now())
	if err != nil {
		p.w.t.Fatal(err)
	}
	return code
}

// login logs in through the proxy from an address of the person's own.
func (p *person) login(name, password, code string) (*sallyportv1.LoginResponse, error) {
	p.w.t.Helper()
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		p.w.t.Fatal(err)
	}
	return p.w.proxy.Login.Login(p.w.t.Context(), &sallyportv1.LoginRequest{
		User: name, Password: password, TotpCode: code, PublicKey: public, ClientAddress: source(p.name),
	})
}

func source(name string) string { return "192.0.2." + string(rune('0'+len(name)%10)) + ":1000" }

// certificate reads the identity of an issued certificate.
func certificate(t *testing.T, pem []byte) *identity.Identity {
	t.Helper()
	cert, err := ca.ParseCertificate(pem)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.FromCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantKind fails unless the error is a fault of the kind whose sentence holds the text.
func wantKind(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if !fault.Is(err, kind) || !strings.Contains(fault.Message(err), text) {
		t.Fatalf("got %v (%v), want %v with %q", err, fault.KindOf(err), kind, text)
	}
}

// events returns how many events of a type hold all of the texts.
func (w *world) events(typ string, texts ...string) int {
	w.t.Helper()
	res, err := w.admin.Audit.SearchEvents(w.t.Context(), &sallyportv1.SearchEventsRequest{Types: []string{typ}})
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, event := range res.GetEvents() {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(string(event), text)
		}
		if all {
			n++
		}
	}
	return n
}

// reset resets a user's password and returns the token of the link.
func (w *world) reset(name string) string {
	w.t.Helper()
	res, err := w.admin.Users.ResetUser(w.t.Context(), &sallyportv1.ResetUserRequest{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.GetLink().GetToken()
}

func (w *world) remove(kind, name string) {
	w.t.Helper()
	if _, err := w.admin.Resources.DeleteResource(w.t.Context(), &sallyportv1.DeleteResourceRequest{Kind: kind, Name: name}); err != nil {
		w.t.Fatal(err)
	}
}
