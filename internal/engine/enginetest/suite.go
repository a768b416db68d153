package enginetest

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/resource"
)

// Harness is what an engine brings to the suite: itself, a real client, and a small server.
type Harness struct {
	Protocol string
	New      func() engine.Engine
	// Hasty is New with a second for what large messages wait for; nil where another call of the suite sees to that.
	Hasty func() engine.Engine
	// Start starts a server, and stops it when the test is over.
	Start func(t *testing.T) Server
	// Connect logs a client of a real library in at the address.
	Connect func(ctx context.Context, address, account, name string) (Client, error)
	// Refusal returns what the protocol's own error message says in an error of the client; false if the error
	// is of another kind, such as a broken connection.
	Refusal func(err error) (text string, ok bool)
	// Routed says that clients name account and logical database in their certificates, not in the protocol.
	Routed bool
	// Farewell is the function in which the engine waits a moment for the next command of an idle client, to tell it of the end
	// in answer to that; empty where the client can read it at once.
	Farewell string
	// Command returns the text of a client's Do in the record of a command; nil where the record is that text.
	Command func(recorded string) string
	// Bad are first packets that no client sends: garbage and absurd lengths.
	Bad map[string][]byte
}

// Server is a small server of a protocol.
type Server interface {
	Addr() string
	Authority() []byte // PEM, of its certificate
	Credential(account string) (*cred.Credential, error)
	// Watch sets what is called for each command, before it is answered.
	Watch(func(command string))
	// Reject makes all further logins fail, with a message that has the text.
	Reject(text string)
	// Drop breaks all connections off.
	Drop()
	Stop()
}

// Client is a logged-in client.
type Client interface {
	// Do sends a command and returns when it was answered. Each server answers any text.
	Do(ctx context.Context, command string) error
	// Stall sends the beginning of a command, of 2 MiB, and returns what comes instead of an answer.
	Stall(ctx context.Context) error
	// Abandon closes the connection without the protocol's goodbye.
	Abandon() error
	Close() error
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *stage){
		"an allowed visit":                                        allowed,
		"another account is refused":                              otherAccount,
		namesRefused:                                              otherName,
		"a refusal decided before is told":                        decidedBefore,
		"a denial by the auth server is told as one":              deniedByAuth,
		"the database is down":                                    down,
		"the database rejects the login":                          rejected,
		"each command is recorded before it is seen":              recordedFirst,
		"nothing goes on that cannot be recorded":                 cannotRecord,
		"nothing is answered that cannot be recorded":             cannotRecordOutcome,
		"garbage as first packet":                                 garbage,
		"the client vanishes in the middle of a command":          clientVanishes,
		"the server vanishes in the middle of an answer":          serverVanishes,
		"a lock ends an idle visit":                               lockedIdle,
		"a lock ends a visit that waits for the server":           lockedBusy,
		"a client that says nothing is not waited for at the end": silentClient,
		clientStalls:                               stalls,
		"a panic ends one visit only":              panics,
		"a panic in an answer ends one visit only": panicsAnswering,
	} {
		if name == namesRefused && !resource.EnforcesNames(h.Protocol) {
			continue // nothing is refused for its name
		}
		if name == clientStalls && h.Hasty == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &stage{Harness: h, server: h.Start(t)})
		})
	}
}

const (
	namesRefused = "another logical database is refused"
	clientStalls = "a client that does not go on with a large command"
)

const (
	account = "app"
	name    = "3" // which is one in every protocol: those of Redis are numbers
	allow   = `{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: ['3']}}`
)

// stage is what each test stands on.
type stage struct {
	Harness
	server Server
	dials  counter
}

type counter struct {
	mu sync.Mutex
	n  int // guarded by mu
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (s *stage) agent(t *testing.T, change ...func(*Config)) *Agent {
	t.Helper()
	cfg := Config{
		Engine:      s.New(),
		Database:    NewDatabase(t, s.Protocol, s.server.Addr(), s.server.Authority()),
		Credentials: Certificates(s.server.Credential),
		Roles:       []string{allow},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			s.dials.add()
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	for _, change := range change {
		change(&cfg)
	}
	return Start(t, cfg)
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// try logs a client in.
func (s *stage) try(t *testing.T, a *Agent, account, name string) (Client, error) {
	t.Helper()
	if s.Routed {
		a.Expect(account, name)
	}
	return s.Connect(patience(t), a.Addr(), account, name)
}

func (s *stage) connect(t *testing.T, a *Agent) Client {
	t.Helper()
	c, err := s.try(t, a, account, name)
	if err != nil {
		t.Fatalf("logging in: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// wantRefusal checks that a client can read why.
func (s *stage) wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		t.Fatal("no refusal")
	}
	if got, ok := s.Refusal(err); !ok || !strings.Contains(got, text) {
		t.Fatalf("the client got %q (in the protocol: %v), want a text with %q", err, ok, text)
	}
}

// ends returns the event that each allowed visit has exactly one of.
func ends(t *testing.T, v *Visit) Event {
	t.Helper()
	events := v.Journal.Events("db.session.end")
	if len(events) != 1 {
		t.Fatalf("%d ends were recorded", len(events))
	}
	return events[0]
}

func (s *stage) commands(v *Visit) []string {
	var texts []string
	for _, event := range v.Journal.Events("db.session.query") {
		text := event.Text("db_query")
		if s.Command != nil {
			text = s.Command(text)
		}
		texts = append(texts, text)
	}
	return texts
}
