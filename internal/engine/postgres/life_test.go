package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/ca"
	"sallyport/internal/cancelkey"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/pgserver"
	"sallyport/internal/realserver"
	"sallyport/internal/store/storetest"
)

// waitFor asks the server until the answer is as wanted.
func waitFor(t *testing.T, server *pgserver.Server, sql, want string) {
	t.Helper()
	deadline := time.Now().Add(enginetest.Patience)
	for {
		got := server.Exec(t, sql)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %q, not %q", sql, got, want)
		}
	}
}

// sleeping counts the statements of one test that are running.
func sleeping(mark string) string {
	return "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like 'select pg_sleep(600) /* " + mark + "%'"
}

func sleep(mark string) string { return "select pg_sleep(600) /* " + mark + " */" }

func TestRunningStatements(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	for name, test := range map[string]func(*testing.T, *pgserver.Server){
		"a cancel request stops it":                          testCancel,
		"a cancel request over a connection of a client":     testCancelServed,
		"a lock stops it":                                    testLockStops,
		"a client that vanishes stops it":                    testVanishStops,
		"a client that closes its direction gets its answer": testHalfClose,
		"a goodbye behind a statement does not stop it":      testGoodbyeBehind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

func testCancel(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	errs := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), sleep("cancel"))
		errs <- err
	}()
	waitFor(t, server, sleeping("cancel"), "1")
	if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantState(t, <-errs, "57014")
	exec1(t, conn, "select 'goes on'")
	v := agent.Visit(t, 0)
	events := v.Journal.Events("db.session.postgres.cancel")
	if len(events) != 1 || !events[0].Flag("success") || events[0].Text("addr.remote") == "" || events[0].Number("postgres_pid") != int64(conn.PgConn().PID()) {
		t.Fatalf("recorded %v", events)
	}
	if r := outcomes(t, v)[0].Result[0]; r.Text("sqlstate") != "57014" {
		t.Errorf("result %v", r.Fields)
	}
}

func testCancelServed(t *testing.T, server *pgserver.Server) {
	var forwarded []cancelkey.Key
	clock := storetest.NewClock()
	e := postgres.New(postgres.Config{Now: clock.Now, Logger: slog.New(slog.DiscardHandler), HalfClosed: 12 * time.Second,
		ForwardCancel: func(key cancelkey.Key) { forwarded = append(forwarded, key) }})
	agent := front(t, server, func(c *enginetest.Config) { c.Engine = e })
	w := dial(t, agent)
	w.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "postgres"}})
	w.flush()
	var key *pgproto3.BackendKeyData
	for key == nil {
		message, err := w.Receive()
		if err != nil {
			t.Fatal(err)
		}
		key, _ = message.(*pgproto3.BackendKeyData)
	}
	pid, secret := key.ProcessID, append([]byte(nil), key.SecretKey...)
	w.untilReady()
	for name, c := range map[string]struct {
		key   cancelkey.Key
		known bool
	}{
		"another secret":   {cancelkey.Key{ProcessID: pid, Secret: []byte("none")}, false},
		"another process":  {cancelkey.Key{ProcessID: pid + 1, Secret: secret}, false},
		"no secret":        {cancelkey.Key{ProcessID: pid}, false},
		"too long a one":   {cancelkey.Key{ProcessID: pid, Secret: append(secret, 0)}, false},
		"the key as given": {cancelkey.Key{ProcessID: pid, Secret: secret}, true},
	} {
		c.key.ClientAddress = "192.0.2.1:1"
		cancel := e.FindCancel(c.key)
		if known := cancel != nil; known != c.known {
			t.Errorf("%s: known is %v", name, known)
		}
		if cancel != nil {
			cancel(t.Context())
		}
	}
	for range 20 {
		if cancel := e.FindCancel(cancelkey.Key{ProcessID: pid, ClientAddress: "192.0.2.2:1"}); cancel != nil {
			cancel(t.Context())
		}
	}
	if e.FindCancel(cancelkey.Key{ProcessID: pid, Secret: secret, ClientAddress: "192.0.2.2:2"}) != nil {
		t.Error("a source that asks too often is served")
	}
	twice := cancelkey.Key{ProcessID: pid, Secret: secret, ClientAddress: "192.0.2.4:1", Request: cancelkey.NewID()}
	another := twice
	another.Request = cancelkey.NewID()
	before := len(agent.Visit(t, 0).Journal.Events("db.session.postgres.cancel"))
	for _, key := range []cancelkey.Key{twice, another, twice, another} { // each by way of two proxies
		if cancel := e.FindCancel(key); cancel != nil {
			cancel(t.Context())
		}
	}
	if n := len(agent.Visit(t, 0).Journal.Events("db.session.postgres.cancel")) - before; n != 2 {
		t.Errorf("two requests cancelled %d times", n)
	}
	visits := 0
	ask := func(pid uint32, secret []byte) {
		t.Helper()
		request := dial(t, agent)
		request.send(&pgproto3.CancelRequest{ProcessID: pid, SecretKey: secret})
		if _, err := request.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a cancel request was answered: %v", err)
		}
		visits++
		if err := agent.Visit(t, visits).Wait(t); err != nil {
			t.Errorf("the engine returned %v", err)
		}
	}
	for i := range 8 {
		if i%2 == 0 {
			ask(pid, secret) // known here
		} else {
			ask(99, []byte{1, 2, 3, 4})
			e.CancelFound(forwarded[len(forwarded)-1].Request) // known elsewhere
		}
		clock.Advance(3 * time.Second)
	}
	if len(forwarded) != 4 || forwarded[0].ProcessID != 99 || forwarded[0].ClientAddress == "" {
		t.Errorf("forwarded %v", forwarded)
	}
	for range 4 {
		ask(99, []byte{1, 2, 3, 4}) // known nowhere
		clock.Advance(3 * time.Second)
	}
	if len(forwarded) != 4+3 {
		t.Errorf("%d guesses were passed on, want 3", len(forwarded)-4)
	}
	w.send(&pgproto3.Terminate{})
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Fatal(err)
	}
	if e.FindCancel(cancelkey.Key{ProcessID: pid, Secret: secret, ClientAddress: "192.0.2.3:1"}) != nil {
		t.Error("the key of an ended session is known")
	}
}

func testLockStops(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	errs := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), sleep("lock"))
		errs <- err
	}()
	waitFor(t, server, sleeping("lock"), "1")
	locked := fault.New(fault.AccessDenied, "your account was locked")
	agent.Visit(t, 0).End(locked)
	if got := wantState(t, <-errs, "57P01"); got.Severity != "FATAL" || got.Message != "your account was locked" {
		t.Errorf("the client got %v", got)
	}
	if err := agent.Visit(t, 0).Wait(t); !errors.Is(err, locked) {
		t.Errorf("the engine returned %v", err)
	}
	waitFor(t, server, sleeping("lock"), "0")
	if r := outcomes(t, agent.Visit(t, 0))[0].Result[0]; r.Flag("success") {
		t.Errorf("result %v", r.Fields)
	}
}

func testVanishStops(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: sleep("vanish")})
	waitFor(t, server, sleeping("vanish"), "1")
	tcp := w.Conn.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
	if err := agent.Visit(t, 0).Wait(t); !errors.Is(err, io.EOF) {
		t.Errorf("the engine returned %v", err)
	}
	waitFor(t, server, sleeping("vanish"), "0")
}

func testHalfClose(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "select 'late' from pg_sleep(0.2)"})
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.expect("RowDescription DataRow(late) CommandComplete(SELECT 1) ReadyForQuery")
	if err := agent.Visit(t, 0).Wait(t); !errors.Is(err, io.EOF) {
		t.Errorf("the engine returned %v", err)
	}
}

func testGoodbyeBehind(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "select pg_sleep(0.2)"}, &pgproto3.Query{String: "select 'done'"}, &pgproto3.Terminate{})
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Fatal(err)
	}
	all := outcomes(t, agent.Visit(t, 0))
	for _, o := range all {
		if !o.Result[0].Flag("success") {
			t.Errorf("%s: %v", o.Query.Text("db_query"), o.Result[0].Fields)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d statements were recorded, want 2", len(all))
	}
}

func TestServerEnds(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	idle, busy, ended := connect(t, agent), connect(t, agent), connect(t, agent)
	_, err := ended.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
	wantState(t, err, "57P01")
	errs := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), sleep("restart"))
		errs <- err
	}()
	waitFor(t, server, sleeping("restart"), "1")
	server.Restart(t)
	wantState(t, <-errs, "57P01")
	_, err = idle.Exec(t.Context(), "select 1")
	wantState(t, err, "57P01")
	for i := range 3 {
		v := agent.Visit(t, i)
		if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) || errors.Is(err, io.EOF) {
			t.Errorf("the engine returned %v", err)
		}
		if end := v.Journal.Events("db.session.end"); len(end) != 1 || !strings.Contains(end[0].Text("error"), "57P01") {
			t.Errorf("end: %v", end)
		}
	}
	again := connect(t, agent)
	exec1(t, again, "select 'it is back'")
	server.Kill(t)
	if _, err := again.Exec(t.Context(), "select 1"); err == nil {
		t.Error("a killed server answers")
	}
	if err := agent.Visit(t, 3).Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the engine returned %v", err)
	}
}

func TestLoginRefusedByTheServer(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{HBA: []string{
		"hostssl all postgres 127.0.0.1/32 cert", "hostssl all carol 127.0.0.1/32 scram-sha-256", "hostssl all dave 127.0.0.1/32 trust", "hostssl all frank 127.0.0.1/32 ident",
	}})
	server.Exec(t, "create role carol login password 'secret'; create role dave login; create role erin login; create role frank login")
	other, err := ca.New(ca.ClientCA, "other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		account, database, state, text string
		change                         func(*enginetest.Config)
	}{
		"somebody else is asked who it is": {"frank", "postgres", "28000", "Ident authentication failed", nil},
		"no such database":                 {"postgres", "nowhere", "3D000", `database "nowhere" does not exist`, nil},
		"no entry for the account":         {"erin", "postgres", "28000", "no pg_hba.conf entry", nil},
		"no such account":                  {"dave", "template0", "55000", "is not currently accepting connections", nil},
		"a password is asked for":          {"carol", "postgres", "08006", "hostssl", nil},
		"a certificate for another one": {"postgres", "postgres", "28000", "certificate authentication failed", func(c *enginetest.Config) {
			c.Credentials = enginetest.Certificates(func(string) (*cred.Credential, error) {
				return &cred.Credential{User: "postgres", Certificate: server.ClientCertificate(t, "mallory")}, nil
			})
		}},
		"a certificate of another authority": {"postgres", "postgres", "08006", "tctl auth sign --format=db", func(c *enginetest.Config) {
			stranger := realserver.Authorities{ClientCA: other}
			c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
				return &cred.Credential{User: account, Certificate: stranger.ClientCertificate(t, account)}, nil
			})
		}},
		"the server's certificate is of another authority": {"postgres", "postgres", "08006", "signed by an unknown authority", func(c *enginetest.Config) {
			c.Database = enginetest.NewDatabase(t, "postgres", server.Addr, other.CertPEM())
		}},
		"the server's certificate is for another name": {"postgres", "postgres", "08006", "is for another name", func(c *enginetest.Config) {
			db := *c.Database
			db.Spec.TLS.ServerName = "db.example.org"
			c.Database = &db
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var agent *enginetest.Agent
			if agent = front(t, server); c.change != nil {
				agent = front(t, server, c.change)
			}
			_, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", c.account, agent.Addr(), c.database))
			got := wantState(t, err, c.state)
			if got.Severity != "FATAL" || !strings.Contains(got.Message, c.text) {
				t.Errorf("the client got %v", got)
			}
			asked := strings.Contains(c.text, "Ident") || strings.Contains(c.text, "entry")
			if asked != strings.Contains(got.Hint, `"hostssl all all 0.0.0.0/0 cert" before the others`) {
				t.Errorf("the client got the hint %q", got.Hint)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if end := v.Journal.Events("db.session.end"); len(end) != 1 || end[0].Text("error") == "" {
				t.Errorf("end: %v", end)
			}
		})
	}
}

func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{HBA: []string{"host all all 127.0.0.1/32 trust"}, Settings: []string{"ssl = off"}})
	_, err := tryConnect(t, front(t, server), "")
	if got := wantState(t, err, "08006"); !strings.Contains(got.Message, "ssl = on") {
		t.Errorf("the client got %v", got)
	}
}

func TestLoginDefaults(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create role app login")
	server.Exec(t, "create database app")
	server.Exec(t, "create database orders")
	for name, c := range map[string]struct {
		route            identity.Route
		startup          map[string]string
		account, logical string
	}{
		"the logical database is named like the account":    {identity.Route{}, map[string]string{"user": "app"}, "app", "app"},
		"an empty name is none":                             {identity.Route{}, map[string]string{"user": "app", "database": ""}, "app", "app"},
		"the certificate's account and name are defaults":   {identity.Route{User: "app", Database: "orders"}, nil, "app", "orders"},
		"the client's account and name come first":          {identity.Route{User: "app", Database: "orders"}, map[string]string{"user": "postgres", "database": "app"}, "postgres", "app"},
		"the certificate's account names the database also": {identity.Route{User: "app"}, nil, "app", "app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server, func(cfg *enginetest.Config) {
				c.route.Service, c.route.Protocol = "orders", "postgres"
				cfg.Identity = &identity.Identity{Kind: identity.User, Cluster: "test", Name: "alice", Roles: []string{"db"}, Route: &c.route}
				cfg.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [` + c.account + `], db_names: [` + c.logical + `]}}`}
			})
			w := dial(t, agent)
			w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: c.startup})
			if got := w.untilReady(); !strings.HasSuffix(got, "ReadyForQuery") {
				t.Fatal(got)
			}
			w.send(&pgproto3.Query{String: "select current_user || ' ' || current_database()"})
			w.expect("RowDescription DataRow(" + c.account + " " + c.logical + ") CommandComplete(SELECT 1) ReadyForQuery")
		})
	}
}
