// Package enginetest is the suite that every engine passes, and the small agent that it runs them in. It is
// imported by tests only.
package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/bell"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Patience is how long tests wait for what must happen.
const Patience = 30 * time.Second

// Config is what an Agent is made of. Engine, Database and Credentials must be set.
type Config struct {
	Engine      engine.Engine
	Database    *resource.Database
	Credentials cred.Source
	// Roles are specs of the user's roles, in YAML; default: one that allows everything.
	Roles []string
	// Identity of the user; default: alice, with a route to the database.
	Identity *identity.Identity
	// Options are what the user's roles say about sessions.
	Options access.SessionOptions
	// Refusal is why the user is not welcome; nil otherwise.
	Refusal error
	// Crowded says which connections, by the index of their visits, are more than the user may have. May be nil.
	Crowded func(n int) error
	// Decide replaces the rules of Roles; may be nil.
	Decide func(access.Target) access.Decision
	// Denied replaces the denials of Roles; may be nil.
	Denied func() access.Commands
	// Tally counts what sessions record; may be nil.
	Tally *session.Tally
	// Now replaces the clock of sessions; may be nil.
	Now func() time.Time
	// Dial replaces the dialler of the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Agent accepts connections, decrypted and authenticated as far as the engine can tell, and makes a session of
// each.
type Agent struct {
	cfg      Config
	roles    []*resource.Role
	listener net.Listener
	uids     *audit.UIDs
	running  sync.WaitGroup
	more     bell.Bell // when a visit is added

	mu     sync.Mutex
	route  *identity.Route // of clients to come, in place of their identity's; guarded by mu
	visits []*Visit        // guarded by mu
}

// Start starts an agent on a loopback port. When the test is over it waits for the sessions to end.
func Start(t testing.TB, cfg Config) *Agent {
	t.Helper()
	a := newAgent(t, cfg)
	var err error
	if a.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	a.running.Go(func() { a.accept(t) })
	t.Cleanup(func() { a.stop(t) })
	return a
}

func newAgent(t testing.TB, cfg Config) *Agent {
	t.Helper()
	if cfg.Roles == nil {
		cfg.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}}`}
	}
	if cfg.Identity == nil {
		cfg.Identity = &identity.Identity{
			Kind: identity.User, Cluster: "test", Name: "alice", Roles: []string{"db"},
			Route: &identity.Route{Service: cfg.Database.GetName(), Protocol: cfg.Database.Spec.Protocol},
		}
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Agent{cfg: cfg, uids: audit.NewUIDs(rand.Reader)}
	for _, spec := range cfg.Roles {
		a.roles = append(a.roles, parseRole(t, spec))
	}
	return a
}

// NewSession returns a session that no engine serves yet, for a client at no address, and its journal.
func NewSession(t testing.TB, cfg Config) (*session.Session, *Journal) {
	t.Helper()
	v := &Visit{id: uuid.NewString(), end: func(error) {}}
	var err error
	if v.Session, err = session.New(newAgent(t, cfg).sessionConfig(v, nowhere{}, nowhere{})); err != nil {
		t.Fatal(err)
	}
	return v.Session, &v.Journal
}

type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "192.0.2.1:1024" }

func parseRole(t testing.TB, spec string) *resource.Role {
	t.Helper()
	list, err := resource.ParseYAML([]byte("kind: role\nversion: v7\nmetadata: {name: db}\nspec: " + spec + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return list[0].(*resource.Role)
}

// NewDatabase returns a resource for a database at the address, whose certificate the authority has signed.
func NewDatabase(t testing.TB, protocol, address string, authority []byte) *resource.Database {
	t.Helper()
	db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: protocol, URI: address}}
	db.Kind, db.Version = resource.KindDatabase, "v3"
	db.Metadata.Name = "orders"
	db.Metadata.Labels = map[string]string{"env": "test"}
	db.Spec.TLS.CACert = string(authority)
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

// Addr returns where clients connect.
func (a *Agent) Addr() string { return a.listener.Addr().String() }

func (a *Agent) accept(t testing.TB) {
	for {
		client, err := a.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("accepting: %v", err)
			return
		}
		ctx, end := context.WithCancelCause(context.Background())
		v := &Visit{id: uuid.NewString(), end: end, done: make(chan struct{})}
		if v.Session, err = session.New(a.sessionConfig(v, client.RemoteAddr(), client.LocalAddr())); err != nil {
			t.Errorf("making a session: %v", err)
			return
		}
		a.add(v)
		a.running.Go(func() {
			defer end(nil)
			pprof.Do(ctx, pprof.Labels("visit", v.id), func(ctx context.Context) { v.serve(ctx, a.cfg.Engine, client) })
		})
	}
}

func (a *Agent) add(v *Visit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.visits = append(a.visits, v)
	a.more.Ring()
}

// Expect has the certificates of the clients to come name the account and the logical database.
func (a *Agent) Expect(account, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.route = &identity.Route{Service: a.cfg.Database.GetName(), Protocol: a.cfg.Database.Spec.Protocol, User: account, Database: name}
}

// identity returns who the next client is.
func (a *Agent) identity() *identity.Identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := *a.cfg.Identity
	if a.route != nil {
		id.Route = a.route
	}
	return &id
}

func (a *Agent) sessionConfig(v *Visit, client, local net.Addr) session.Config {
	id, refusal, crowded := a.identity(), a.cfg.Refusal, false
	if a.cfg.Crowded != nil && refusal == nil {
		refusal = a.cfg.Crowded(len(a.Visits()))
		crowded = refusal != nil
	}
	return session.Config{
		ID: v.id, Cluster: "test", Identity: id, UserCertificate: []byte("certificate"),
		Database: a.cfg.Database, CheckName: resource.EnforcesNames(a.cfg.Database.Spec.Protocol),
		Decide: func(target access.Target) access.Decision {
			if a.cfg.Decide != nil {
				return a.cfg.Decide(target)
			}
			return access.Check(access.Caller{User: id.Name, Roles: a.roles, Traits: id.Traits}, target)
		},
		Denied: func() access.Commands {
			if a.cfg.Denied != nil {
				return a.cfg.Denied()
			}
			return access.DeniedCommands(access.Caller{User: id.Name, Roles: a.roles, Traits: id.Traits})
		},
		Options: a.cfg.Options, Strict: a.cfg.Options.RecordingMode == resource.Strict, Refusal: refusal, Crowded: crowded, Journal: &v.Journal, UIDs: a.uids, Tally: a.cfg.Tally,
		ClientAddr: client.String(), LocalAddr: local.String(),
		Credentials: a.cfg.Credentials, Dial: a.cfg.Dial, Now: a.cfg.Now, End: v.end,
	}
}

func (a *Agent) stop(t testing.TB) {
	_ = a.listener.Close()
	for _, v := range a.Visits() {
		v.end(errors.New("the test is over"))
	}
	a.running.Wait()
	tidy(t, a.Visits()...)
}
