package postgres_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/lib/pq"

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
