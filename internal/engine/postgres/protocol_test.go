package postgres_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

// wire is a client that sends messages one by one.
type wire struct {
	t *testing.T
	net.Conn
	*pgproto3.Frontend
}

// dial opens a connection on which nothing was sent.
func dial(t *testing.T, agent *enginetest.Agent) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(4 * enginetest.Patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{t, conn, pgproto3.NewFrontend(conn, conn)}
}

// logIn opens a connection and logs in.
func logIn(t *testing.T, agent *enginetest.Agent) *wire {
	t.Helper()
	w := dial(t, agent)
	w.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "postgres", "database": "postgres"}})
	w.flush()
	if got := w.untilReady(); !strings.Contains(got, "ReadyForQuery") {
		t.Fatalf("login: %s", got)
	}
	return w
}

func (w *wire) flush() {
	w.t.Helper()
	if err := w.Frontend.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// write sends bytes as they are.
func (w *wire) write(bytes ...byte) {
	w.t.Helper()
	if _, err := w.Conn.Write(bytes); err != nil {
		w.t.Fatal(err)
	}
}

// untilReady reads up to the next ReadyForQuery, or the end, and returns what came as one line.
func (w *wire) untilReady() string {
	w.t.Helper()
	var got []string
	for {
		message, err := w.Receive()
		if err != nil {
			return strings.Join(append(got, "end"), " ")
		}
		got = append(got, describe(message))
		if _, ok := message.(*pgproto3.ReadyForQuery); ok {
			return strings.Join(got, " ")
		}
	}
}

func describe(message pgproto3.BackendMessage) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", message), "*pgproto3.")
	switch m := message.(type) {
	case *pgproto3.ErrorResponse:
		return name + "(" + m.Severity + " " + m.Code + ")"
	case *pgproto3.CommandComplete:
		return name + "(" + string(m.CommandTag) + ")"
	case *pgproto3.DataRow:
		return name + "(" + string(slices.Concat(m.Values...)) + ")"
	default:
		return name
	}
}

func (w *wire) send(messages ...pgproto3.FrontendMessage) {
	w.t.Helper()
	for _, message := range messages {
		w.Send(message)
	}
	w.flush()
}

func (w *wire) expect(want string) {
	w.t.Helper()
	if got := w.untilReady(); got != want {
		w.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func numeric(text string) pgtype.Numeric {
	var n pgtype.Numeric
	if err := n.Scan(text); err != nil {
		panic(err)
	}
	return n
}

func testPieces(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "begin"})
	w.expect("CommandComplete(BEGIN) ReadyForQuery")
	w.send(&pgproto3.Parse{Query: "select generate_series(1, 5)"}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Sync{})
	w.expect("ParseComplete BindComplete DataRow(1) DataRow(2) PortalSuspended ReadyForQuery")
	// The next statement takes the unnamed one away; the portal stays.
	w.send(&pgproto3.Query{String: "select 'between'"})
	w.expect("RowDescription DataRow(between) CommandComplete(SELECT 1) ReadyForQuery")
	w.send(&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Flush{}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
	w.expect("DataRow(3) DataRow(4) PortalSuspended DataRow(5) CommandComplete(SELECT 1) ReadyForQuery")
	w.send(&pgproto3.Terminate{})
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range outcomes(t, v) {
		got = append(got, fmt.Sprintf("%s %s %d", o.Query.Text("db_query"), o.Query.Text("portal_name"), o.Result[0].Number("affected_records")))
	}
	const pieces = "select generate_series(1, 5) p "
	if want := []string{"begin  0", pieces + "2", "select 'between'  1", pieces + "2", pieces + "1"}; !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

func testDeallocate(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	w := logIn(t, agent)
	const done = "ParseComplete BindComplete DataRow(%s) CommandComplete(SELECT 1) ReadyForQuery"
	for i := range 3_000 { // far more names than may be kept at once
		value := fmt.Sprint(i)
		w.send(&pgproto3.Parse{Name: "s" + value, Query: "select " + value}, &pgproto3.Bind{PreparedStatement: "s" + value}, &pgproto3.Execute{}, &pgproto3.Sync{})
		w.expect(fmt.Sprintf(done, value))
		if i%2 == 0 {
			w.send(&pgproto3.Query{String: "DEALLOCATE s" + value + ";"})
			w.expect("CommandComplete(DEALLOCATE) ReadyForQuery")
		} else if i%101 == 0 {
			w.send(&pgproto3.Query{String: "discard all"})
			w.expect("CommandComplete(DISCARD ALL) ReadyForQuery")
		} else {
			w.send(&pgproto3.Close{ObjectType: 'S', Name: "s" + value}, &pgproto3.Sync{})
			w.expect("CloseComplete ReadyForQuery")
		}
	}
	// A name that SQL has freed and given another meaning.
	w.send(&pgproto3.Parse{Name: "again", Query: "select 'old'"}, &pgproto3.Sync{})
	w.expect("ParseComplete ReadyForQuery")
	w.send(&pgproto3.Query{String: "deallocate again; prepare again as select 'new'"})
	w.expect("CommandComplete(DEALLOCATE) CommandComplete(PREPARE) ReadyForQuery")
	w.send(&pgproto3.Query{String: "deallocate all"})
	w.expect("CommandComplete(DEALLOCATE ALL) ReadyForQuery")
	w.send(&pgproto3.Parse{Name: "again", Query: "select 'newest'"}, &pgproto3.Bind{PreparedStatement: "again"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect(fmt.Sprintf(done, "newest"))
	all := queries(agent.Visit(t, 0))
	if got := all[len(all)-1]; got != "select 'newest'" {
		t.Fatalf("recorded %q", got)
	}
}

func testCannotPrepare(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	_, err := conn.Prepare(t.Context(), "bad", "select * from nowhere")
	wantState(t, err, "42P01")
	v := depart(t, agent, conn)
	failed := v.Journal.Events("db.session.query.failed")
	if len(failed) != 1 || failed[0].Text("db_query") != "select * from nowhere" || !strings.Contains(failed[0].Text("error"), "42P01") {
		t.Fatalf("recorded %v", failed)
	}
}
