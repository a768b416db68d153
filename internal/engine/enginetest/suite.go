package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Harness is what an engine brings to the suite: itself, a real client, and a small server.
type Harness struct {
	Protocol string
	New      func() engine.Engine
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
		"a panic ends one visit only":                             panics,
		"a panic in an answer ends one visit only":                panicsAnswering,
	} {
		if name == namesRefused && !resource.EnforcesNames(h.Protocol) {
			continue // nothing is refused for its name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &stage{Harness: h, server: h.Start(t)})
		})
	}
}

const namesRefused = "another logical database is refused"

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

func allowed(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	for i := range 3 {
		if err := c.Do(patience(t), fmt.Sprint("command ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	v := a.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatalf("an ordinary goodbye returned %v", err)
	}
	start := v.Journal.Events("db.session.start")
	if len(start) != 1 || !start[0].Flag("success") || start[0].Text("db_user") != account || start[0].Text("db_name") != name {
		t.Errorf("start: %v", start)
	}
	if end := ends(t, v); end.Number("statements") != 3 || end.Number("bytes_sent") == 0 || end.Number("bytes_received") == 0 {
		t.Errorf("end: %v", end.Fields)
	}
}

// refused checks a visit that the rules refuse.
func (s *stage) refused(t *testing.T, a *Agent, account, name, text string) {
	t.Helper()
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, text)
	v := a.Visit(t, len(a.Visits())-1)
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
	events := v.Journal.Events()
	if len(events) != 1 || events[0].Code != "TDB00W" || events[0].Text("db_user") != account {
		t.Errorf("recorded %v", events)
	}
	if s.dials.get() != 0 {
		t.Error("the database was dialled")
	}
}

func otherAccount(t *testing.T, s *stage) {
	s.refused(t, s.agent(t), "root", name, "access to db denied. User does not have permissions. Confirm database user and name.")
}

// otherName checks the rules about logical databases, of protocols that have such rules.
func otherName(t *testing.T, s *stage) {
	if !resource.EnforcesNames(s.Protocol) {
		if err := s.connect(t, s.agent(t, func(c *Config) { c.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [app]}}`} })).Close(); err != nil {
			t.Error(err)
		}
		return
	}
	s.refused(t, s.agent(t, func(c *Config) {
		c.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [other]}, deny: {db_names: ['3']}}`}
	}), account, name, "access to db denied. User does not have permissions. Confirm database user and name.")
}

func decidedBefore(t *testing.T, s *stage) {
	a := s.agent(t, func(c *Config) { c.Refusal = fault.New(fault.AccessDenied, "you are locked; ask an administrator") })
	s.refused(t, a, account, name, "you are locked; ask an administrator")
}

func down(t *testing.T, s *stage) {
	a := s.agent(t)
	s.server.Stop()
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, "cannot be reached")
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the engine returned %v", err)
	}
	if end := ends(t, v); end.Text("error") == "" {
		t.Errorf("end: %v", end.Fields)
	}
}

func rejected(t *testing.T, s *stage) {
	a := s.agent(t)
	s.server.Reject("no such account here")
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, "no such account here")
	v := a.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	if end := ends(t, v); !strings.Contains(end.Text("error"), "no such account here") {
		t.Errorf("end: %v", end.Fields)
	}
}

func recordedFirst(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	var seen []string
	s.server.Watch(func(command string) {
		seen = append(seen, command)
		if recorded := s.commands(v); !slices.Equal(recorded, seen) {
			t.Errorf("when the server saw %q, recorded were %q", seen, recorded)
		}
	})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("command ", i))
		if err := c.Do(patience(t), want[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.server.Watch(nil)
	if !slices.Equal(seen, want) {
		t.Errorf("the server saw %q", seen)
	}
}

func cannotRecord(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	if err := c.Do(patience(t), "recorded"); err != nil {
		t.Fatal(err)
	}
	s.server.Watch(func(command string) { t.Errorf("the server saw %q", command) })
	v.Journal.Fail(errors.New("the disk is full"))
	s.wantRefusal(t, c.Do(patience(t), "not recorded"), "audit is unavailable")
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	s.server.Watch(nil)
}

func cannotRecordOutcome(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	s.server.Watch(func(string) { v.Journal.Fail(errors.New("the disk is full")) })
	s.wantRefusal(t, c.Do(patience(t), "a command whose outcome is not recorded"), "audit is unavailable")
	s.server.Watch(nil)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
}

func garbage(t *testing.T, s *stage) {
	for title, packet := range s.Bad {
		t.Run(title, func(t *testing.T) {
			a := s.agent(t)
			if s.Routed {
				a.Expect(account, name) // whom the rules would let in
			}
			conn, err := net.Dial("tcp", a.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			if err := a.Visit(t, 0).Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if s.dials.get() != 0 {
				t.Error("the database was dialled")
			}
		})
	}
}

// busy starts a command that the server does not answer before release is called, and returns when the
// server has it.
func (s *stage) busy(t *testing.T, c Client) (result <-chan error, release func()) {
	t.Helper()
	arrived, held := make(chan struct{}), make(chan struct{})
	s.server.Watch(func(string) {
		close(arrived)
		<-held
	})
	answer := make(chan error, 1)
	ctx := patience(t)
	go func() { answer <- c.Do(ctx, "a long command") }()
	select {
	case <-arrived:
	case <-time.After(Patience):
		t.Fatal("the command does not arrive")
	}
	s.server.Watch(nil)
	return answer, sync.OnceFunc(func() { close(held) })
}

func clientVanishes(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	if err := c.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err == nil {
		t.Error("an answer came to a client that has gone")
	}
	v := a.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	ends(t, v)
}

func serverVanishes(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	s.server.Drop()
	s.wantRefusal(t, <-answer, "the database closed the connection")
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the engine returned %v", err)
	}
	if end := ends(t, v); end.Text("error") == "" {
		t.Errorf("end: %v", end.Fields)
	}
}

var errLocked = fault.New(fault.AccessDenied, "your account was locked; ask an administrator")

func (s *stage) locked(t *testing.T, v *Visit, err error) {
	t.Helper()
	s.wantRefusal(t, err, "your account was locked; ask an administrator")
	if err := v.Wait(t); !errors.Is(err, errLocked) {
		t.Errorf("the engine returned %v, not the cause", err)
	}
	ends(t, v)
}

func lockedIdle(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	if err := c.Do(patience(t), "command"); err != nil {
		t.Fatal(err)
	}
	v := a.Visit(t, 0)
	v.End(errLocked)
	// The end takes a moment to arrive, and what comes before it is answered.
	if s.Farewell != "" {
		v.Reach(t, s.Farewell)
	} else {
		_ = v.Wait(t)
	}
	s.locked(t, v, c.Do(patience(t), "another"))
}

func lockedBusy(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	v := a.Visit(t, 0)
	v.End(errLocked)
	s.locked(t, v, <-answer)
}

func silentClient(t *testing.T, s *stage) {
	a := s.agent(t)
	conn, err := net.Dial("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	v := a.Visit(t, 0)
	v.End(errLocked)
	if err := v.Wait(t); !errors.Is(err, errLocked) {
		t.Errorf("the engine returned %v, not the cause", err)
	}
}

func panicsAnswering(t *testing.T, s *stage) {
	a := s.agent(t)
	unlucky, other := s.connect(t, a), s.connect(t, a)
	v := a.Visit(t, 0)
	s.server.Watch(func(string) { v.Journal.Burst() })
	if err := unlucky.Do(patience(t), "a command"); err == nil {
		t.Error("the command was answered")
	}
	s.server.Watch(nil)
	if err := v.Wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("the engine returned %v", err)
	}
	ends(t, v)
	if err := other.Do(patience(t), "another command"); err != nil {
		t.Errorf("the other visit ended too: %v", err)
	}
}

func panics(t *testing.T, s *stage) {
	a := s.agent(t)
	unlucky, other := s.connect(t, a), s.connect(t, a)
	v := a.Visit(t, 0)
	v.Journal.Burst()
	if err := unlucky.Do(patience(t), "a command"); err == nil {
		t.Error("the command was answered")
	}
	if err := v.Wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("the engine returned %v", err)
	}
	ends(t, v)
	if err := other.Do(patience(t), "another command"); err != nil {
		t.Errorf("the other visit ended too: %v", err)
	}
}
