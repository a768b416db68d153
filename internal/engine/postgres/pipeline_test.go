package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/pgserver"
)

func testPrepared(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	if _, err := conn.Prepare(t.Context(), "twice", "select $1::bigint * 2"); err != nil {
		t.Fatal(err)
	}
	exec1(t, conn, "select 'something else'")
	for i := range 5 {
		var n int64
		if err := conn.QueryRow(t.Context(), "twice", i).Scan(&n); err != nil || n != int64(2*i) {
			t.Fatal(n, err)
		}
	}
	v := depart(t, agent, conn)
	var found int
	for _, o := range outcomes(t, v) {
		if o.Query.Text("statement_name") != "twice" {
			continue
		}
		if o.Query.Text("db_query") != "select $1::bigint * 2" || fmt.Sprint(o.Query.Fields["db_query_parameters"]) != fmt.Sprintf("[%d]", found) {
			t.Errorf("recorded %v", o.Query.Fields)
		}
		found++
	}
	if found != 5 {
		t.Errorf("%d executions", found)
	}
}

func testBatch(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	batch := &pgx.Batch{}
	const size = 3000 // larger than the buffers on the way
	for i := range size {
		batch.Queue("select $1::int", i)
	}
	results := conn.SendBatch(t.Context(), batch)
	for i := range size {
		var n int
		if err := results.QueryRow().Scan(&n); err != nil || n != i {
			t.Fatal(i, n, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Fatal(err)
	}
	all := outcomes(t, depart(t, agent, conn))
	if len(all) != size {
		t.Fatalf("%d statements", len(all))
	}
	for i, o := range all {
		if fmt.Sprint(o.Query.Fields["db_query_parameters"]) != fmt.Sprintf("[%d]", i) || len(o.Result) != 1 || !o.Result[0].Flag("success") {
			t.Fatalf("statement %d: %v %v", i, o.Query.Fields, o.Result)
		}
	}
}

func testPipelineError(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	pipeline := conn.PgConn().StartPipeline(t.Context())
	send := func(sql string) { pipeline.SendQueryParams(sql, nil, nil, nil, nil) }
	send("select 'first'")
	send("select 1/0")
	send("select 'skipped'")
	if err := pipeline.Sync(); err != nil {
		t.Fatal(err)
	}
	send("select 'after'")
	if err := pipeline.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := pipeline.Close(); err == nil {
		t.Fatal("no error")
	}
	var got []string
	for _, o := range outcomes(t, depart(t, agent, conn)) {
		r := o.Result[0]
		got = append(got, fmt.Sprintf("%s: %v %s", o.Query.Text("db_query"), r.Flag("success"), r.Text("sqlstate")))
		if o.Query.Text("db_query") == "select 'skipped'" && !strings.Contains(r.Text("error"), "not executed") {
			t.Errorf("skipped: %v", r.Fields)
		}
	}
	want := []string{"select 'first': true ", "select 1/0: false 22012", "select 'skipped': false ", "select 'after': true "}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

func testLateError(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table parent (id int primary key); create temp table child (id int references parent deferrable initially deferred)")
	_, err := conn.Exec(t.Context(), "insert into child values ($1)", 1)
	wantState(t, err, "23503")
	all := outcomes(t, depart(t, agent, conn))
	last := all[len(all)-1]
	if n := len(last.Result); n != 2 || !last.Result[0].Flag("success") || last.Result[1].Text("sqlstate") != "23503" {
		t.Fatalf("results %v", last.Result)
	}
}

func testSeveral(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	const text = "create temp table several (n int); insert into several values (1), (2); select * from several; select 1/0; select 'never'"
	_, err := conn.PgConn().Exec(t.Context(), text).ReadAll()
	wantState(t, err, "22012")
	all := outcomes(t, depart(t, agent, conn))
	var got []string
	for _, r := range all[0].Result {
		got = append(got, fmt.Sprintf("%s %d %s", r.Text("command_tag"), r.Number("affected_records"), r.Text("sqlstate")))
	}
	if want := []string{"CREATE TABLE 0 ", "INSERT 0 2 2 ", "SELECT 2 2 ", " 0 22012"}; len(all) != 1 || !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}

func testEmpty(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "")
	exec1(t, conn, "-- nothing", pgx.QueryExecModeExec)
	exec1(t, conn, ";", pgx.QueryExecModeSimpleProtocol)
	all := outcomes(t, depart(t, agent, conn))
	for _, o := range all {
		if !o.Result[0].Flag("success") {
			t.Errorf("%v", o.Result[0].Fields)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d statements", len(all))
	}
}
