package postgres_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

// standsStill reports whether the session is idle: while it is not, its last activity is always now.
func standsStill(v *enginetest.Visit) bool {
	first := v.Session.LastActivity()
	for !time.Now().After(first) { // until the clock has moved
	}
	return v.Session.LastActivity().Equal(first)
}

// wantIdle waits until the session is idle, which begins a moment after the client has its answer.
func wantIdle(t *testing.T, v *enginetest.Visit, what string) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); !standsStill(v); {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// TestIdleMeansThatTheClientDoesNothing checks what the idle limit goes by: a running statement is no idleness, and
// what the database tells by itself is no activity.
func TestIdleMeansThatTheClientDoesNothing(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	conn := connect(t, agent)
	v := agent.Visit(t, 0)
	exec1(t, conn, "listen news")
	wantIdle(t, v, "a session without a statement is not idle")
	before := v.Session.LastActivity()
	server.Exec(t, "select pg_notify('news', 'hello')")
	if _, err := conn.WaitForNotification(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !v.Session.LastActivity().Equal(before) {
		t.Error("a notification keeps the session from being idle")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Exec(ctx, sleep("idle"))
	}()
	waitFor(t, server, sleeping("idle"), "1")
	if standsStill(v) {
		t.Error("a session whose statement runs is idle")
	}
	running := v.Session.LastActivity()
	server.Exec(t, "select pg_cancel_backend(pid) from pg_stat_activity where query like 'select pg_sleep(600) /* idle%'")
	<-ended
	wantIdle(t, v, "a session whose statement has ended is not idle")
	if !v.Session.LastActivity().After(running) {
		t.Error("idleness does not begin with the answer")
	}
}

// TestIdleInTheMiddleOfACopy checks that a COPY that waits for the client's data is idle, and one whose data are
// complete is not.
func TestIdleInTheMiddleOfACopy(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, `create table slow (n int); create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(600) /* copy */; return new; end';
		create trigger wait after insert on slow for each statement execute function wait()`)
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "copy slow from stdin"})
	if _, err := w.Receive(); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, 0)
	wantIdle(t, v, "a COPY that waits for the client is not idle")
	w.send(&pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{})
	waitFor(t, server, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", "1")
	if standsStill(v) {
		t.Error("a COPY that the database works on is idle")
	}
}

// TestHalfClosedClientGetsALateAnswer checks that a client that has closed its direction is waited for as long as an
// ordinary statement takes.
func TestHalfClosedClientGetsALateAnswer(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "select 'late' from pg_sleep(6)"})
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.expect("RowDescription DataRow(late) CommandComplete(SELECT 1) ReadyForQuery")
}

// TestHalfCloseBehindAFailedCopy checks that a Sync which stays without an answer is not waited for.
func TestHalfCloseBehindAFailedCopy(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create table copied (n int)")
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Parse{Query: "copy copied from stdin"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
		&pgproto3.CopyData{Data: []byte("x\n")}, &pgproto3.CopyDone{}, &pgproto3.Sync{})
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.expect("ParseComplete BindComplete CopyInResponse ErrorResponse(ERROR 22P02) ReadyForQuery")
	if err := agent.Visit(t, 0).Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
}

// TestStartAndEndTellWhatTheClientWanted checks the settings of a login in the start of a session, and that its end counts
// function calls among the statements.
func TestStartAndEndTellWhatTheClientWanted(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := dial(t, agent)
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{
		"user": "postgres", "database": "postgres", "application_name": "tests", "options": "-c statement_timeout=5432 --work-mem=7MB", "TimeZone": "Asia/Tokyo",
	}})
	w.untilReady()
	const abs = 1397 // pg_proc.dat: abs(integer)
	w.send(&pgproto3.FunctionCall{Function: abs, ArgFormatCodes: []uint16{1}, Arguments: [][]byte{{0xff, 0xff, 0xff, 0xfd}}})
	w.expect("FunctionCallResponse ReadyForQuery")
	w.send(&pgproto3.Query{String: "select 1"})
	w.untilReady()
	v := w.goodbye(agent)
	want := map[string]any{"application_name": "tests", "statement_timeout": "5432", "work_mem": "7MB", "timezone": "Asia/Tokyo"}
	if got := v.Journal.Events("db.session.start")[0].Fields["startup_parameters"]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	if got := v.Journal.Events("db.session.end")[0].Number("statements"); got != 2 {
		t.Errorf("%d statements", got)
	}
	call := v.Journal.Events("db.session.postgres.function")[0]
	if fmt.Sprint(call.Fields["function_args"], call.Fields["function_args_binary"]) != "[/////Q==] [0]" {
		t.Errorf("recorded %v", call.Fields)
	}
}

// TestRefusalsHaveTheirWords checks texts that people search for.
func TestRefusalsHaveTheirWords(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server, func(cfg *enginetest.Config) {
		cfg.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: ['*']}}`}
	})
	for user, want := range map[string]string{
		"root": "access to db denied. User does not have permissions. Confirm database user and name.",
		"":     "user name must not be empty",
	} {
		w := dial(t, agent)
		w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": user, "database": "postgres"}})
		message, err := w.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if refusal, ok := message.(*pgproto3.ErrorResponse); !ok || len(refusal.Message) < len(want) || refusal.Message[:len(want)] != want {
			t.Errorf("%q reads %v", user, message)
		}
	}
}
