package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	_ "github.com/lib/pq"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

// TestRealServer runs what clients do against a real server.
func TestRealServer(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	for name, test := range map[string]func(*testing.T, *pgserver.Server){
		"psql runs a script":       testPsql,
		"pgx in each of its modes": testModes,
		"lib/pq":                   testLibPQ,
		"a statement prepared once and executed often": testPrepared,
		"a batch in one round trip":                    testBatch,
		"an error in a pipeline":                       testPipelineError,
		"an error that comes with the commit":          testLateError,
		"several statements in one query":              testSeveral,
		"copy in and out":                              testCopy,
		"copy in that fails":                           testCopyFails,
		"copy in that the client gives up":             testCopyGivenUp,
		"large rows and many rows":                     testBulk,
		"large objects":                                testLargeObjects,
		"listen and notify":                            testNotify,
		"notices and settings":                         testNotices,
		"portals read in pieces":                       testPieces,
		"values of all kinds are recorded":             testValues,
		"texts of values are those of the server":      testTexts,
		"names are freed by SQL":                       testDeallocate,
		"text that is not UTF-8 is recorded exactly":   testEncoding,
		"a statement that cannot be prepared":          testCannotPrepare,
		"an empty query":                               testEmpty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

func testPsql(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	var script, want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&script, "select %d;\n", i)
		fmt.Fprintf(&want, "%d\n", i)
		if i%10 == 0 {
			script.WriteString("create temp table t" + fmt.Sprint(i) + " as select generate_series(1, 10) as n;\nselect * from missing;\n\\copy t" + fmt.Sprint(i) + " to /dev/null\n")
			want.WriteString("SELECT 10\nERROR:  relation \"missing\" does not exist\nCOPY 10\n")
		}
	}
	out := psql(t, agent, script.String())
	got := strings.Join(slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "LINE ") || strings.HasPrefix(strings.TrimSpace(line), "^")
	}), "")
	if got != want.String() {
		t.Fatalf("psql printed\n%s\nwant\n%s", got, want.String())
	}
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatal(err)
	}
	if n := len(outcomes(t, v)); n != 130 {
		t.Fatalf("%d statements were recorded", n)
	}
	start := v.Journal.Events("db.session.start")[0]
	if start.Text("user_agent") != "psql" || start.Text("db_user") != "postgres" {
		t.Fatalf("start: %v", start.Fields)
	}
}

func testModes(t *testing.T, server *pgserver.Server) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			conn := connect(t, agent)
			for i := range 3 {
				var n int
				var text string
				if err := conn.QueryRow(t.Context(), "select $1::int + 1, $2::text", mode, i, "héllo").Scan(&n, &text); err != nil || n != i+1 || text != "héllo" {
					t.Fatal(n, text, err)
				}
			}
			_, err := conn.Exec(t.Context(), "select 1/$1::int", mode, 0)
			wantState(t, err, "22012")
			all := outcomes(t, depart(t, agent, conn))
			if len(all) != 4 {
				t.Fatalf("%d statements", len(all))
			}
			for i, o := range all[:3] {
				params, _ := o.Query.Fields["db_query_parameters"].([]any)
				if mode != pgx.QueryExecModeSimpleProtocol && !slices.Equal(params, []any{fmt.Sprint(i), "héllo"}) {
					t.Errorf("values %v", params)
				}
				if r := o.Result[0]; !r.Flag("success") || r.Number("affected_records") != 1 || r.Text("command_tag") != "SELECT 1" || r.Number("bytes") == 0 {
					t.Errorf("result %v", r.Fields)
				}
			}
			if r := all[3].Result[0]; r.Flag("success") || r.Text("sqlstate") != "22012" || !strings.Contains(r.Text("error"), "division by zero") {
				t.Errorf("result %v", r.Fields)
			}
		})
	}
}

func testLibPQ(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	db, err := sql.Open("postgres", url(agent, ""))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for i := range 3 {
		var n int
		if err := db.QueryRow("select $1::int * 2", i).Scan(&n); err != nil || n != 2*i {
			t.Fatal(n, err)
		}
	}
	if _, err := db.Exec("create temp table pq (n int, s text)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	stmt, err := tx.Prepare("copy pq (n, s) from stdin")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if _, err := stmt.Exec(i, "text"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stmt.Exec(); err != nil {
		t.Fatal(err)
	}
	if err := stmt.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("select count(*) from pq").Scan(&n); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatal(err)
	}
	copies := 0
	for _, o := range outcomes(t, v) {
		r := o.Result[0]
		if r.Text("copy_direction") == "" {
			continue
		}
		copies++
		if r.Text("copy_direction") != "in" || r.Number("copy_bytes") < 5000 || r.Number("affected_records") != 1000 {
			t.Errorf("result of the copy: %v", r.Fields)
		}
	}
	if copies != 1 {
		t.Errorf("%d copies were recorded, want 1", copies)
	}
}

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

func testCopy(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table copied (n int, s text)")
	const rows = 200_000
	in := make([][]any, rows)
	for i := range in {
		in[i] = []any{i, "some text of a row"}
	}
	if n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"copied"}, []string{"n", "s"}, pgx.CopyFromRows(in)); err != nil || n != rows {
		t.Fatal(n, err)
	}
	sizes := make(map[string]int)
	for _, format := range []string{"text", "binary"} {
		var out bytes.Buffer
		tag, err := conn.PgConn().CopyTo(t.Context(), &out, "copy (select * from copied limit 200000) to stdout (format "+format+")")
		if err != nil || tag.RowsAffected() != rows {
			t.Fatal(tag, err)
		}
		sizes[format] = out.Len()
		tag, err = conn.PgConn().CopyFrom(t.Context(), &out, "copy copied from stdin (format "+format+")")
		if err != nil || tag.RowsAffected() != rows {
			t.Fatal(tag, err)
		}
	}
	var sum int64
	if err := conn.QueryRow(t.Context(), "select sum(n) from copied").Scan(&sum); err != nil || sum != 3*rows*(rows-1)/2 {
		t.Fatal(sum, err)
	}
	all := outcomes(t, depart(t, agent, conn))
	for format, size := range sizes {
		var directions []string
		for _, o := range all {
			if !strings.HasSuffix(o.Query.Text("db_query"), "(format "+format+")") {
				continue
			}
			r := o.Result[0]
			directions = append(directions, r.Text("copy_direction"))
			if r.Number("copy_bytes") != int64(size) || r.Number("affected_records") != rows {
				t.Errorf("%s: %v, want %d bytes", o.Query.Text("db_query"), r.Fields, size)
			}
		}
		if !slices.Equal(directions, []string{"out", "in"}) {
			t.Errorf("copies in format %s went %q, want out and in", format, directions)
		}
	}
}

func testCopyFails(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table bad (n int)")
	long := strings.Repeat("1\n", 100_000) + "x\n" + strings.Repeat("2\n", 1_000_000)
	for range 3 {
		_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(long), "copy bad from stdin")
		wantState(t, err, "22P02")
		exec1(t, conn, "select $1::int", 1)
	}
	all := outcomes(t, depart(t, agent, conn))
	if r := all[1].Result[0]; len(all) != 7 || r.Text("copy_direction") != "in" || r.Text("sqlstate") != "22P02" || r.Number("copy_bytes") == 0 {
		t.Fatalf("%d statements, %v", len(all), r.Fields)
	}
}

func testCopyGivenUp(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table given_up (n int)")
	_, err := conn.PgConn().CopyFrom(t.Context(), io.MultiReader(strings.NewReader("1\n"), broken{}), "copy given_up from stdin")
	wantState(t, err, "57014")
	exec1(t, conn, "select 1")
	all := outcomes(t, depart(t, agent, conn))
	if len(all) != 3 {
		t.Fatalf("%d statements, want 3", len(all))
	}
	if r := all[1].Result[0]; r.Text("copy_direction") != "in" || r.Flag("success") || r.Text("sqlstate") != "57014" {
		t.Errorf("result of the copy: %v", r.Fields)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func testBulk(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	var size, rows int
	if err := conn.QueryRow(t.Context(), "select length($1::text)", strings.Repeat("x", 20<<20)).Scan(&size); err != nil || size != 20<<20 {
		t.Fatal(size, err)
	}
	var text string
	if err := conn.QueryRow(t.Context(), "select repeat('y', 20 << 20)").Scan(&text); err != nil || len(text) != 20<<20 {
		t.Fatal(len(text), err)
	}
	got, err := conn.Query(t.Context(), "select n, repeat('z', n % 300) from generate_series(1, 100000) n")
	if err != nil {
		t.Fatal(err)
	}
	for got.Next() {
		var n int
		if err := got.Scan(&n, &text); err != nil || n != rows+1 || len(text) != n%300 {
			t.Fatal(n, len(text), err)
		}
		rows++
	}
	if got.Err() != nil || rows != 100_000 {
		t.Fatal(rows, got.Err())
	}
	var failure string
	for range 2 {
		_, err = conn.Exec(t.Context(), "do $$ begin raise exception '%', repeat('e', 1000000); end $$")
		failure = wantState(t, err, "P0001").Message
	}
	if len(failure) != 1_000_000 {
		t.Fatalf("an error of %d bytes", len(failure))
	}
	depart(t, agent, conn)
}

func testLargeObjects(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := tx.LargeObjects()
	oid, err := objects.Create(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	object, err := objects.Open(t.Context(), oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	if _, err := object.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := object.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatal(len(got), err)
	}
	if err := objects.Unlink(t.Context(), oid); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, o := range outcomes(t, depart(t, agent, conn)) {
		if !o.Result[0].Flag("success") {
			t.Errorf("%s: %v", o.Query.Text("db_query"), o.Result[0].Fields)
		}
		if name, _, ok := strings.Cut(strings.TrimPrefix(o.Query.Text("db_query"), "select "), "("); ok && !slices.Contains(calls, name) {
			calls = append(calls, name)
		}
	}
	if want := []string{"lo_create", "lo_open", "lowrite", "lo_lseek64", "loread", "lo_unlink"}; !slices.Equal(calls, want) {
		t.Errorf("recorded calls of %q, want %q", calls, want)
	}
}

func testNotify(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	listener, sender := connect(t, agent), connect(t, agent)
	exec1(t, listener, "listen news")
	exec1(t, sender, "select pg_notify('news', $1)", "hello")
	ctx, cancel := context.WithTimeout(t.Context(), enginetest.Patience)
	defer cancel()
	notification, err := listener.WaitForNotification(ctx)
	if err != nil || notification.Payload != "hello" || notification.PID != sender.PgConn().PID() {
		t.Fatal(notification, err)
	}
	for i, want := range []string{"listen news []", "select pg_notify('news', $1) [hello]"} {
		all := outcomes(t, agent.Visit(t, i))
		if len(all) != 1 {
			t.Fatalf("visit %d: %d statements, want 1", i, len(all))
		}
		params, _ := all[0].Query.Fields["db_query_parameters"].([]any)
		if got := fmt.Sprint(all[0].Query.Text("db_query"), " ", params); got != want || !all[0].Result[0].Flag("success") {
			t.Errorf("recorded %s: %v, want %s", got, all[0].Result[0].Fields, want)
		}
	}
}

func testNotices(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	config, err := pgx.ParseConfig(url(agent, "&application_name=tests&timezone=Asia/Tokyo&options=-c%20statement_timeout%3D54321%20--work-mem%3D7MB"))
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, conn, "do $$ begin raise notice 'look'; raise warning 'here'; end $$")
	if !slices.Equal(notices, []string{"look", "here"}) {
		t.Errorf("notices %q", notices)
	}
	for name, want := range map[string]string{"timezone": "Asia/Tokyo", "application_name": "tests", "statement_timeout": "54321ms", "work_mem": "7MB"} {
		var got string
		if err := conn.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q: %v", name, got, err)
		}
	}
	exec1(t, conn, "set timezone to 'Europe/Berlin'")
	if got := conn.PgConn().ParameterStatus("TimeZone"); got != "Europe/Berlin" {
		t.Errorf("the client was told %q", got)
	}
	v := depart(t, agent, conn)
	if got := v.Journal.Events("db.session.start")[0].Text("user_agent"); got != "tests" {
		t.Errorf("user agent %q", got)
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

func testValues(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	at := time.Date(2024, 2, 29, 12, 34, 56, 789000, time.UTC)
	for _, c := range []struct {
		sqlType string
		value   any
		want    any
	}{
		{"int2", int16(-7), "-7"}, {"int4", int32(1 << 30), "1073741824"}, {"int8", int64(-1 << 62), "-4611686018427387904"},
		{"bool", true, "true"}, {"float8", 1.5, "1.5"}, {"float4", float32(0.25), "0.25"}, {"text", "it's", "it's"},
		{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"timestamptz", at, "2024-02-29 12:34:56.000789+00"}, {"timestamp", at, "2024-02-29 12:34:56.000789"}, {"date", at, "2024-02-29"},
		{"jsonb", `{"a": 1}`, `{"a": 1}`}, {"numeric", numeric("-12345678.900"), "-12345678.900"}, {"numeric", numeric("0.00012"), "0.00012"},
		{"numeric", numeric("100000000"), "100000000"}, {"bytea", []byte{0, 1, 255}, "AAH/"}, {"text", nil, nil},
	} {
		exec1(t, conn, "select $1::"+c.sqlType, c.value)
		events := agent.Visit(t, 0).Journal.Events("db.session.query")
		params := events[len(events)-1].Fields["db_query_parameters"].([]any)
		if params[0] != c.want {
			t.Errorf("%s: recorded %v, want %v", c.sqlType, params[0], c.want)
		}
	}
}

// testTexts compares the recorded texts of binary values with those that the server makes of them.
func testTexts(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn, err := tryConnect(t, agent, "&timezone=UTC")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	moment := func() time.Time {
		return time.Date(random.IntN(9999)+1, 1, 1+random.IntN(365), 0, 0, 0, random.IntN(1e6)*1000, time.UTC)
	}
	float := func() float64 { return (random.Float64() - 0.5) * math.Pow(10, float64(random.IntN(80)-40)) }
	var want []string
	for sqlType, value := range map[string]func() any{
		"int8":        func() any { return int64(random.Uint64()) >> random.IntN(64) },
		"int4":        func() any { return int32(random.Uint32()) >> random.IntN(32) },
		"float8":      func() any { return float() },
		"float4":      func() any { return float32(float()) },
		"date":        func() any { return moment() },
		"timestamp":   func() any { return moment() },
		"timestamptz": func() any { return moment() },
		"numeric": func() any {
			return pgtype.Numeric{Int: big.NewInt(int64(random.Uint64()) >> random.IntN(64)), Exp: int32(random.IntN(60) - 40), Valid: true}
		},
		"uuid": func() any {
			var id [16]byte
			binary.BigEndian.PutUint64(id[random.IntN(9):], random.Uint64())
			return pgtype.UUID{Bytes: id, Valid: true}
		},
	} {
		for range 200 {
			var text string
			if err := conn.QueryRow(t.Context(), "select $1::"+sqlType+"::text", value()).Scan(&text); err != nil {
				t.Fatal(sqlType, err)
			}
			want = append(want, text)
		}
	}
	events := agent.Visit(t, 0).Journal.Events("db.session.query")
	if len(events) != len(want) {
		t.Fatalf("%d statements were recorded, want %d", len(events), len(want))
	}
	for i, event := range events {
		got := event.Fields["db_query_parameters"].([]any)[0].(string)
		if got != want[i] && !(strings.Contains(event.Text("db_query"), "::float") && sameFloat(got, want[i])) {
			t.Errorf("%s: recorded %v, the server says %s", event.Text("db_query"), got, want[i])
		}
	}
}

// sameFloat reports whether two texts stand for one number. Of several shortest texts the server may take another.
func sameFloat(a, b string) bool {
	for _, bits := range []int{32, 64} {
		x, errX := strconv.ParseFloat(a, bits)
		y, errY := strconv.ParseFloat(b, bits)
		if errX == nil && errY == nil && x == y {
			return true
		}
	}
	return false
}

func testEncoding(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn, err := tryConnect(t, agent, "&client_encoding=LATIN1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(t.Context(), "select 'caf\xe9'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	v := depart(t, agent, conn)
	if got := v.Journal.Events("db.session.query")[0].Text("db_query_base64"); got != "c2VsZWN0ICdjYWbpJw==" {
		t.Fatalf("recorded %q", got)
	}
}
