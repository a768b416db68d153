package mysql_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/fault"
	"sallyport/internal/mariaserver"
	"sallyport/internal/mysqlwire"
)

// running waits until the database runs a statement that holds the text, or none any more.
func running(t testing.TB, server *mariaserver.Server, text string, want bool) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); ; time.Sleep(10 * time.Millisecond) {
		n := server.Exec(t, "select count(*) from information_schema.processlist where info like '%"+text+"%' and id <> connection_id()")
		if (n != "0") == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s statements run with %s", n, text)
		}
	}
}

// TestKillQuery is what clients do when their user presses Ctrl-C.
func TestKillQuery(t *testing.T) {
	t.Parallel()
	server := real(t)
	agent := front(t, server)
	c := logIn(t, agent, all)
	c.write(command(mysqlwire.ComQuery, "select sleep(60) as 'sleeper'"))
	running(t, server, "sleeper", true)
	other := connect(t, agent)
	if err := other.exec(fmt.Sprintf("KILL QUERY %d", c.hello.Connection)); err != nil {
		t.Fatal(err)
	}
	for payload := []byte{0}; payload[0] != mysqlwire.HeaderError; { // definitions may have come before
		payload, _ = c.packet()
		if payload[0] == mysqlwire.HeaderError && !strings.Contains(c.errorOf(payload), "Query execution was interrupted") {
			t.Errorf("got %q", payload)
		}
	}
	// The connection goes on.
	c.ok(mysqlwire.ComPing, "")
	c.write(command(mysqlwire.ComQuit, ""))
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Errorf("the session ended with %v", err)
	}
	got := told(t, depart(t, agent, other))
	if len(got) != 1 || !strings.HasPrefix(got[0], "TDB02I KILL QUERY ") || strings.Contains(got[0], fmt.Sprint(c.hello.Connection)) || !strings.HasSuffix(got[0], " -> 0") {
		t.Errorf("recorded %q; the client knows itself as %d", got, c.hello.Connection)
	}
}

func TestWhatRunsForNobodyIsStopped(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*raw, *enginetest.Visit){
		"the client vanishes": func(c *raw, _ *enginetest.Visit) { _ = c.Close() },
		"a lock":              func(_ *raw, v *enginetest.Visit) { v.End(fmt.Errorf("locked")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := real(t)
			agent := front(t, server)
			c := logIn(t, agent, all)
			c.write(append(command(mysqlwire.ComQuery, "select sleep(60) as 'sleeper'"), command(mysqlwire.ComQuery, "create table never (id int)")...))
			running(t, server, "sleeper", true)
			v := agent.Visit(t, 0)
			end(c, v)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			running(t, server, "sleeper", false)
			if got := server.Exec(t, "show tables in orders"); got != "" {
				t.Errorf("what waited behind it was executed: %s", got)
			}
			for _, line := range told(t, v) {
				if !strings.HasSuffix(line, "the session ended before the database answered") {
					t.Errorf("recorded %s", line)
				}
			}
		})
	}
}

func TestFilesOfTheClient(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "set global local_infile = 1; create table orders.loaded (v varchar(100))")
	file := filepath.Join(t.TempDir(), "it's a file")
	content := bytes.Repeat([]byte("a line of a file\n"), 100_000)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	client.RegisterLocalFile(file)
	load := "load data local infile '" + strings.ReplaceAll(file, "'", "''") + "' into table loaded"

	allowed := front(t, server, func(c *enginetest.Config) { c.Options.LocalInfile = true })
	_ = connect(t, allowed).Close()
	c := connect(t, allowed)
	for range 2 {
		if err := c.exec(load); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.exec("load data local infile '/does/not/exist' into table loaded"); err == nil {
		t.Error("a file that does not exist was loaded")
	}
	if got := c.rows(t, "select count(*) from loaded"); got[0] != "200000" {
		t.Errorf("%s rows", got)
	}
	v := depart(t, allowed, c)
	results := v.Journal.Events("db.session.result")
	if r := results[0]; r.Number("affected_records") != 100_000 || r.Text("copy_direction") != "in" || r.Number("copy_bytes") != int64(len(content)) {
		t.Errorf("recorded %v", r.Fields)
	}

	denied := front(t, server)
	_ = connect(t, denied).Close()
	c = connect(t, denied)
	if err := c.exec(load); err == nil {
		t.Error("a file was loaded though no role allows that")
	}
	depart(t, denied, c)
}

// TestADatabaseThatChanges checks what happens when the server behind an address cannot any more what clients are
// promised.
func TestADatabaseThatChanges(t *testing.T) {
	t.Parallel()
	var old atomic.Bool
	agent, _ := small(t, mysqltest.Options{Greeting: func(g *mysqlwire.Greeting) {
		if !old.Load() {
			g.Flags |= mysqlwire.DeprecateEOF
		}
	}})
	_ = connect(t, agent).Close()
	old.Store(true)
	if _, err := dial(t, agent.Addr(), "app", "orders"); err == nil || !strings.Contains(err.Error(), "another one than at the last login; connect again") {
		t.Fatalf("got %v", err)
	}
	depart(t, agent, connect(t, agent))
}

func TestClientsAreGreetedAsTheDatabaseWould(t *testing.T) {
	t.Parallel()
	server := real(t)
	agent := front(t, server)
	version := server.Exec(t, "select version()")
	first := logIn(t, agent, all)
	if first.hello.Version == version {
		t.Error("the version is known before anybody has asked for it")
	}
	second := logIn(t, agent, all)
	if !strings.HasSuffix(second.hello.Version, version) || second.hello.Method != mysqlwire.NativePassword {
		t.Errorf("greeted as %q by %q, want %q", second.hello.Version, second.hello.Method, version)
	}
	pinned := front(t, server, func(c *enginetest.Config) { c.Database.Spec.MySQL.ServerVersion = "5.7.1-pinned" })
	_ = logIn(t, pinned, all)
	if got := logIn(t, pinned, all).hello; got.Version != "5.7.1-pinned" || got.Method != mysqlwire.CachingSHA2 {
		t.Errorf("greeted as %q by %q", got.Version, got.Method)
	}
}

// TestEndWithinARow ends a session while a row is on its way: nothing is written into it.
func TestEndWithinARow(t *testing.T) {
	t.Parallel()
	begin := numbered([]byte{1}, mysqltest.Column("c"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
	begin = append(begin, 100, 0, 0, 4, 99, 'x', 'x')
	agent, _ := small(t, mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
		if got == mysqlwire.ComQuery && string(body) == "select c" {
			_, err := c.Write(begin)
			return err == nil
		}
		return false
	}})
	c := logIn(t, agent, all)
	c.write(command(mysqlwire.ComQuery, "select c"))
	c.full(make([]byte, len(begin)))
	v := agent.Visit(t, 0)
	v.End(fault.New(fault.AccessDenied, "locked"))
	if more, err := io.ReadAll(c); len(more) > 0 {
		t.Errorf("the row goes on with %q, %v", more, err)
	}
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
}
