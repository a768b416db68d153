package postgres_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/pgserver"
)

// severalSleeping counts running queries with the mark.
func severalSleeping(mark string) string {
	return "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like 'select 1;%/* " + mark + " */'"
}

// TestLaterStatementsOfAQuery checks that from the second statement of a query on nothing is different from the
// first: whatever ends the session stops it, and it has its result.
func TestLaterStatementsOfAQuery(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	locked := fault.New(fault.AccessDenied, "your account was locked")
	for name, c := range map[string]struct {
		end   func(t *testing.T, w *wire, v *enginetest.Visit, mark string)
		error string // of the last result
	}{
		"a lock": {func(_ *testing.T, _ *wire, v *enginetest.Visit, _ string) { v.End(locked) }, "the session ended"},
		"a client that vanishes": {func(_ *testing.T, w *wire, _ *enginetest.Visit, _ string) {
			_ = w.Conn.(*net.TCPConn).SetLinger(0)
			_ = w.Conn.Close()
		}, "the session ended"},
		"an end by the database": {func(t *testing.T, _ *wire, _ *enginetest.Visit, mark string) {
			server.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like 'select 1;%/* "+mark+" */'")
		}, "57P01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			w.send(&pgproto3.Query{String: "select 1; select repeat('x', 100000); select pg_sleep(600) /* " + name + " */"})
			for tag := false; !tag; { // the first statement has had its result
				message, err := w.Receive()
				if err != nil {
					t.Fatal(err)
				}
				_, tag = message.(*pgproto3.CommandComplete)
			}
			waitFor(t, server, severalSleeping(name), "1")
			v := agent.Visit(t, 0)
			c.end(t, w, v, name)
			if err := v.Wait(t); err == nil || errors.Is(err, errStopping) {
				t.Errorf("the engine returned %v", err)
			}
			waitFor(t, server, severalSleeping(name), "0")
			results := outcomes(t, v)[0].Result
			if last := results[len(results)-1]; last.Flag("success") || !strings.Contains(last.Text("error"), c.error) {
				t.Errorf("the last result is %v", last.Fields)
			}
		})
	}
}

// TestStatementsSentAheadDoNotOutliveALock checks that what waits behind the statement which a lock stops is not
// executed afterwards.
func TestStatementsSentAheadDoNotOutliveALock(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create table after_lock (n int)")
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: sleep("ahead")}, &pgproto3.Query{String: "insert into after_lock values (1)"},
		&pgproto3.Parse{Query: "insert into after_lock values (2)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	waitFor(t, server, sleeping("ahead"), "1")
	v := agent.Visit(t, 0)
	// The statements that wait are with the server when they are recorded, or will never be.
	for len(v.Journal.Events("db.session.query")) < 3 {
		waitFor(t, server, sleeping("ahead"), "1")
	}
	v.End(fault.New(fault.AccessDenied, "your account was locked"))
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	waitFor(t, server, "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()", "0")
	if got := server.Exec(t, "select count(*) from after_lock"); got != "0" {
		t.Errorf("%s statements were executed after the lock", got)
	}
}
