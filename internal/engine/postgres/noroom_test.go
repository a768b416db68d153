package postgres_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/pgserver"
)

const roomy = 1 << 20 // bytes for what all sessions of a test's user keep

// cramped has an engine with little room for statements of all sessions.
func cramped(cfg *enginetest.Config) {
	cfg.Engine = postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKeptByAll: 2 * roomy})
}

const noRoom = "ErrorResponse(ERROR 53000)"

// TestStatementsOfOthersTakeTheRoom has one session keep nearly all that all together may, and frees that in several ways.
func TestStatementsOfOthersTakeTheRoom(t *testing.T) {
	t.Parallel()
	const most = roomy - 100<<10
	text := "select 1 /* " + strings.Repeat("x", most) + " */"
	named := func(name string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Name: name, Query: text}, &pgproto3.Sync{}}
	}
	bound := []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: "select $1::text"}, &pgproto3.Bind{Parameters: [][]byte{bytes.Repeat([]byte("x"), most)}}, &pgproto3.Sync{},
	}
	const prepared = "ParseComplete ReadyForQuery"
	closed := func(_ *enginetest.Agent, first *wire) {
		first.send(&pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
		first.expect("CloseComplete ReadyForQuery")
	}
	server := pgserver.Start(t, pgserver.Options{})
	for name, c := range map[string]struct {
		send   []pgproto3.FrontendMessage // by the second
		before string                     // of the refusal
		want   string
		free   func(agent *enginetest.Agent, first *wire)
	}{
		"the statement is closed":              {named("s"), "", prepared, closed},
		"the statement is closed, for a value": {bound, "ParseComplete ", "ParseComplete BindComplete ReadyForQuery", closed},
		"all are deallocated": {named(""), "", prepared, func(_ *enginetest.Agent, first *wire) {
			first.send(&pgproto3.Query{String: "DEALLOCATE ALL"})
			first.expect("CommandComplete(DEALLOCATE ALL) ReadyForQuery")
		}},
		"the client says goodbye": {named("s"), "", prepared, func(agent *enginetest.Agent, first *wire) {
			first.send(&pgproto3.Terminate{})
			_ = agent.Visit(t, 0).Wait(t)
		}},
		"the client vanishes": {named("s"), "", prepared, func(agent *enginetest.Agent, first *wire) {
			_ = first.Conn.Close()
			_ = agent.Visit(t, 0).Wait(t)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server, cramped)
			first, second := logIn(t, agent), logIn(t, agent)
			first.send(named("s")...)
			first.expect("ParseComplete ReadyForQuery")
			second.send(c.send...)
			second.expect(c.before + noRoom + " ReadyForQuery")
			second.send(&pgproto3.Parse{Name: "little", Query: "select 2"}, &pgproto3.Sync{})
			second.expect("ParseComplete ReadyForQuery")
			c.free(agent, first)
			second.send(c.send...)
			second.expect(c.want)
			failed := agent.Visit(t, 1).Journal.Events("db.session.query.failed")
			if len(failed) != 1 || !strings.Contains(failed[0].Text("error"), "the agent keeps as much of prepared statements") {
				t.Errorf("recorded as failed: %.1000v", failed)
			}
		})
	}
}

// TestRefusedStatementsFailTheirTransaction at PostgreSQL, as any error would.
func TestRefusedStatementsFailTheirTransaction(t *testing.T) {
	t.Parallel()
	agent := front(t, pgserver.Start(t, pgserver.Options{}), cramped)
	w := logIn(t, agent)
	large := "select 1 /* " + strings.Repeat("x", 2*roomy) + " */"
	// What is before it in the same implicit transaction is rolled back, what is behind it is ignored, all in one write.
	w.send(&pgproto3.Query{String: "create table kept (n int)"})
	w.expect("CommandComplete(CREATE TABLE) ReadyForQuery")
	w.send(&pgproto3.Parse{Query: "insert into kept values (1)"}, &pgproto3.Bind{}, &pgproto3.Execute{},
		&pgproto3.Parse{Query: large}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "select count(*) from kept"})
	w.expect("ParseComplete BindComplete CommandComplete(INSERT 0 1) " + noRoom + " ReadyForQuery")
	w.expect("RowDescription DataRow(0) CommandComplete(SELECT 1) ReadyForQuery")
	// So is an explicit one, here at a Bind.
	w.send(&pgproto3.Query{String: "begin; insert into kept values (2)"})
	w.expect("CommandComplete(BEGIN) CommandComplete(INSERT 0 1) ReadyForQuery")
	w.send(&pgproto3.Parse{Query: "select $1::text"}, &pgproto3.Bind{Parameters: [][]byte{make([]byte, 2*roomy)}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect("ParseComplete " + noRoom + " ReadyForQuery")
	w.send(&pgproto3.Query{String: "commit"})
	w.expect("CommandComplete(ROLLBACK) ReadyForQuery")
	// The statement without a name outlives a Bind that fails, but no Parse without a name.
	w.send(&pgproto3.Parse{Query: "select $1::text"}, &pgproto3.Bind{Parameters: [][]byte{make([]byte, 2*roomy)}}, &pgproto3.Sync{})
	w.expect("ParseComplete " + noRoom + " ReadyForQuery")
	w.send(&pgproto3.Bind{Parameters: [][]byte{[]byte("a")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect("BindComplete DataRow(a) CommandComplete(SELECT 1) ReadyForQuery")
	w.send(&pgproto3.Parse{Query: large}, &pgproto3.Sync{})
	w.expect(noRoom + " ReadyForQuery")
	w.send(&pgproto3.Bind{Parameters: [][]byte{[]byte("a")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect("ErrorResponse(ERROR 26000) ReadyForQuery")
	w.send(&pgproto3.Query{String: "select count(*) from kept"})
	w.expect("RowDescription DataRow(0) CommandComplete(SELECT 1) ReadyForQuery")
	executed := agent.Visit(t, 0).Journal.Events("db.session.query")
	if last := executed[len(executed)-2]; last.Text("db_query") != "" {
		t.Errorf("what is gone was recorded as executed: %s", last.Text("db_query"))
	}
	var failed int
	for _, e := range agent.Visit(t, 0).Journal.Events("db.session.query.failed") {
		if strings.Contains(e.Text("error"), "try again later") {
			failed++
		}
	}
	if failed != 4 {
		t.Errorf("%d refusals are recorded", failed)
	}
}
