package mysql_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/cancelkey"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mariaserver"
	"sallyport/internal/mysqlwire"
)

// agents are engines that pass on requests to kill to each other, as agents do by way of the proxies.
type agents struct {
	mu      sync.Mutex
	engines []*mysql.Engine // guarded by mu
	running sync.WaitGroup
}

func (a *agents) start(t *testing.T, server *mariaserver.Server, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	var e *mysql.Engine
	e = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), ForwardCancel: func(key cancelkey.Key) { a.forward(e, key) }})
	e.WaitForKills(enginetest.Patience)
	a.mu.Lock()
	a.engines = append(a.engines, e)
	a.mu.Unlock()
	t.Cleanup(a.running.Wait)
	return front(t, server, append(change, func(c *enginetest.Config) { c.Engine = e })...)
}

func (a *agents) forward(from *mysql.Engine, key cancelkey.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.engines {
		if e == from {
			continue
		}
		for range 2 { // by way of two proxies
			if kill := e.FindCancel(key); kill != nil {
				a.running.Go(func() { kill(context.Background()) })
				from.CancelFound(key.Request)
			}
		}
	}
}

// sleeper has a session at the agent run a statement that does not end.
func sleeper(t *testing.T, server *mariaserver.Server, agent *enginetest.Agent) *raw {
	t.Helper()
	c := logIn(t, agent, all)
	c.write(command(mysqlwire.ComQuery, "select sleep(600) as 'sleeper'"))
	running(t, server, "sleeper", true)
	return c
}

// interrupted reads the end of a statement that was killed.
func (r *raw) interrupted() {
	r.t.Helper()
	for payload := []byte{0}; payload[0] != mysqlwire.HeaderError; { // definitions may have come before
		payload, _ = r.packet()
		if payload[0] == mysqlwire.HeaderError && !strings.Contains(r.errorOf(payload), "Query execution was interrupted") {
			r.t.Errorf("got %q", payload)
		}
	}
}

func TestKillAtAnotherAgent(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	here, there := both.start(t, server), both.start(t, server)
	c := sleeper(t, server, here)
	shown := c.hello.Connection
	other := connect(t, there)
	if err := other.exec(fmt.Sprintf("KILL QUERY %d", shown)); err != nil {
		t.Fatal(err)
	}
	c.interrupted()
	c.ok(mysqlwire.ComPing, "") // the connection goes on
	wantTold(t, depart(t, there, other), fmt.Sprintf("TDB02I KILL QUERY %d -> 0", shown))
	killed := here.Visit(t, 0).Journal.Events("db.session.mysql.process_kill")
	if len(killed) != 1 || killed[0].Text("addr.remote") == "" || killed[0].Number("process_id") >= 1<<30 {
		t.Errorf("in the session that was killed: %v", killed)
	}

	// By command, which ends the connection.
	old := logIn(t, there, all)
	old.ok(mysqlwire.ComProcessKill, u32(shown))
	if err := here.Visit(t, 0).Wait(t); err == nil {
		t.Error("the session goes on")
	}
	if got := old.errorOf(old.do(mysqlwire.ComProcessKill, u32(shown))); got != fmt.Sprintf("1094 HY000 Unknown thread id: %d", shown) {
		t.Errorf("killing it again: %s", got)
	}
	wantTold(t, old.leave(there), fmt.Sprint("TMY11I ", float64(shown), " -> 0"), fmt.Sprint("TMY11I ", float64(shown), " -> ERROR 1094 (HY000): Unknown thread id: ", shown))
}

// mallory is another user than that of most tests.
func mallory() *identity.Identity {
	return &identity.Identity{Kind: identity.User, Cluster: "test", Name: "mallory", Roles: []string{"db"}, Route: &identity.Route{Service: "orders", Protocol: "mysql"}}
}

// TestWhoGuessesHoldsUpNobodyElse behind the same address.
func TestWhoGuessesHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	here, there := both.start(t, server), both.start(t, server)
	c := sleeper(t, server, here)
	guesser := front(t, server, func(cfg *enginetest.Config) { cfg.Engine, cfg.Identity = both.engines[1], mallory() })
	var guesses []*raw
	for range 3 {
		guess := logIn(t, guesser, all)
		guess.write(command(mysqlwire.ComQuery, "KILL QUERY 1111111111"))
		guesses = append(guesses, guess)
	}
	for _, guess := range guesses { // two seconds later
		if payload, _ := guess.packet(); guess.errorOf(payload) != "1094 HY000 Unknown thread id: 1111111111" {
			t.Fatal(guess.errorOf(payload))
		}
	}
	other := connect(t, there)
	if err := other.exec(fmt.Sprintf("KILL QUERY %d", c.hello.Connection)); err != nil {
		t.Fatal(err)
	}
	c.interrupted()
	depart(t, there, other)
}

// TestKillsByWayOfTwoProxies has two requests of one client come in turn: each is carried out once.
func TestKillsByWayOfTwoProxies(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	here := both.start(t, server)
	c := sleeper(t, server, here)
	keys := make(chan cancelkey.Key, 2)
	asks := mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), ForwardCancel: func(key cancelkey.Key) { keys <- key }})
	e := both.engines[0]
	there := front(t, server, func(cfg *enginetest.Config) { cfg.Engine = asks })
	shown := []cancelkey.Key{}
	for range 2 {
		other := logIn(t, there, all)
		other.write(command(mysqlwire.ComQuery, fmt.Sprintf("KILL QUERY %d", c.hello.Connection)))
		key := <-keys
		asks.CancelFound(key.Request)
		shown = append(shown, key)
	}
	for _, key := range append(shown, shown...) {
		kill := e.FindCancel(key)
		if kill == nil {
			t.Fatal("the key is not known")
		}
		kill(t.Context())
	}
	if killed := here.Visit(t, 0).Journal.Events("db.session.mysql.process_kill"); len(killed) != 2 {
		t.Errorf("two requests killed %d times: %v", len(killed), killed)
	}
}

// TestKillByCommand ends a connection by the number of its greeting at the same agent.
func TestKillByCommand(t *testing.T) {
	t.Parallel()
	server := real(t)
	agent := front(t, server)
	c := sleeper(t, server, agent)
	old := logIn(t, agent, all)
	old.ok(mysqlwire.ComProcessKill, u32(c.hello.Connection))
	if err := agent.Visit(t, 0).Wait(t); err == nil {
		t.Error("the session goes on")
	}
	running(t, server, "sleeper", false)
	events := old.leave(agent).Journal.Events("db.session.mysql.process_kill")
	if len(events) != 1 || events[0].Number("process_id") >= 1<<30 {
		t.Errorf("recorded %v", events)
	}
}

// TestOthersCannotKill checks that a user who has heard of a number learns nothing by it, at the same agent or another,
// whatever the account may do.
func TestOthersCannotKill(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	here := both.start(t, server)
	c := sleeper(t, server, here)
	as := func(change func(*enginetest.Config)) *enginetest.Agent { return both.start(t, server, change) }
	mallory := func(cfg *enginetest.Config) {
		cfg.Identity = mallory()
	}
	type question struct {
		name   string
		client *raw
		want   string
	}
	var asked []question
	for name, agent := range map[string]*enginetest.Agent{
		"another user at another agent":     as(mallory),
		"another database at another agent": as(func(cfg *enginetest.Config) { cfg.Database.Metadata.Name = "other" }),
		"another user at the same agent":    front(t, server, mallory, func(cfg *enginetest.Config) { cfg.Engine = both.engines[0] }),
	} {
		for _, number := range []uint32{c.hello.Connection, c.hello.Connection ^ 1} {
			other := logIn(t, agent, all)
			other.write(command(mysqlwire.ComQuery, fmt.Sprintf("kill query %d", number)))
			asked = append(asked, question{name, other, fmt.Sprintf("1094 HY000 Unknown thread id: %d", number)})
		}
	}
	for _, q := range asked { // at once: other agents are waited for
		payload, _ := q.client.packet()
		if got := q.client.errorOf(payload); got != q.want {
			t.Errorf("%s: %s, want %s", q.name, got, q.want)
		}
	}
	if running(t, server, "sleeper", true); len(here.Visit(t, 0).Journal.Events("db.session.mysql.process_kill")) > 0 {
		t.Error("a kill is recorded")
	}
}

// TestKillWithTheLastConnection has the user press Ctrl-C whose roles allow no second connection.
func TestKillWithTheLastConnection(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	here := both.start(t, server, crowded)
	c := sleeper(t, server, here)
	killer := logIn(t, here, all)
	killer.ok(mysqlwire.ComQuery, fmt.Sprintf("KILL QUERY %d", c.hello.Connection))
	c.interrupted()
	c.ok(mysqlwire.ComPing, "")
	if n := killer.leave(here).Journal.Events(); len(n) > 0 {
		t.Errorf("recorded %v", n)
	}
	if killed := here.Visit(t, 0).Journal.Events("db.session.mysql.process_kill"); len(killed) != 1 {
		t.Errorf("in the session that was killed: %v", killed)
	}

	// While nothing runs there is nothing to kill, and a connection is refused at once.
	if _, err := dial(t, here.Addr(), "app", "orders"); err == nil || !strings.Contains(err.Error(), "your roles allow 1 database connections") {
		t.Errorf("a second connection: %v", err)
	}

	// Anything else is refused.
	c.write(command(mysqlwire.ComQuery, "select sleep(600) as 'sleeper'"))
	running(t, server, "sleeper", true)
	for name, sent := range map[string][]byte{
		"a statement":      command(mysqlwire.ComQuery, "select 1"),
		"a number of none": append(command(mysqlwire.ComQuery, "kill query 1073741824"), command(mysqlwire.ComQuery, "kill 5")...),
		"a long statement": command(mysqlwire.ComQuery, strings.Repeat("x", 20_000)),
		"an empty packet":  {0, 0, 0, 0},
	} {
		n := len(here.Visits())
		other := logIn(t, here, all)
		other.write(sent)
		payload, _ := other.packet()
		if got := other.errorOf(payload); strings.HasPrefix(got, "1094") {
			payload, _ = other.packet()
		}
		if got := other.errorOf(payload); !strings.HasPrefix(got, "1226 42000 your roles allow 1 database connections") {
			t.Errorf("%s: %s", name, got)
		}
		v := here.Visit(t, n)
		if err := v.Wait(t); !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("%s: the engine returned %v", name, err)
		}
		if events := v.Journal.Events(); len(events) != 1 || events[0].Code != "TDB00W" {
			t.Errorf("%s: recorded %v", name, events)
		}
	}
	running(t, server, "sleeper", true)
}

// TestInterruptInTheClient presses Ctrl-C in MariaDB's own client, whose user may have one connection.
func TestInterruptInTheClient(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	agent := both.start(t, server, crowded)
	host, port, err := net.SplitHostPort(agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*enginetest.Patience)
	defer cancel()
	// A terminal, in which ^C is a signal, to the client alone: a shell that is not bash would end by it too.
	shell := exec.CommandContext(ctx, "script", "--quiet", "--flush", "--return", "--command", "exec mariadb --no-defaults --skip-ssl --host="+host+" --port="+port+" --user=app", "/dev/null")
	shell.Env = append(os.Environ(), "SHELL=/bin/sh")
	keys, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	screen, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	shell.Stderr = shell.Stdout
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	press := func(text string) {
		if _, err := io.WriteString(keys, text); err != nil {
			t.Error(err)
		}
	}
	var shown []byte
	shows := func(text string) { // before the next keys are pressed: what programs in a terminal write last may be lost
		for part := make([]byte, 4096); !bytes.Contains(shown, []byte(text)); {
			n, err := screen.Read(part)
			if shown = append(shown, part[:n]...); err != nil {
				t.Fatalf("%v, the client shows %s", err, shown)
			}
		}
	}
	press("select sleep(600) as sleeper;\n")
	running(t, server, "sleeper", true)
	press("\x03")
	shows("interrupted")
	press("select 40+2;\n")
	shows("|   42 |")
	press("quit\n")
	if err := shell.Wait(); err != nil {
		t.Errorf("%v, the client shows %s", err, shown)
	}
}
