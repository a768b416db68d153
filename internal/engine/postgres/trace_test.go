package postgres_test

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
)

var update = flag.Bool("update", false, "write the files below testdata anew")

// TestTrace compares a login, a query and a prepared statement, as they are on both sides of the engine, with the
// file below testdata.
func TestTrace(t *testing.T) {
	t.Parallel()
	var client, server bytes.Buffer
	agent, small := small(t, pgtest.Options{Trace: &server})
	w := dial(t, agent)
	w.Trace(&client, pgproto3.TracerOptions{SuppressTimestamps: true, RegressMode: true})
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "app", "database": "orders", "application_name": "trace"}})
	w.untilReady()
	w.send(&pgproto3.Query{String: "select 'simple'"})
	w.untilReady()
	w.send(&pgproto3.Parse{Name: "s", Query: "select 'extended'"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.untilReady()
	w.send(&pgproto3.Terminate{})
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Fatal(err)
	}
	small.Finish() // the last message may be on its way still
	var got strings.Builder
	fmt.Fprintf(&got, "client and engine\n%s\nengine and database\n%s\nrecorded\n", client.String(), server.String())
	for _, event := range agent.Visit(t, 0).Journal.Events() {
		fmt.Fprintf(&got, "%s %s %s\n", event.Code, event.Type, event.Text("db_query"))
	}
	enginetest.Golden(t, "login_and_query.txt", got.String(), *update)
}
