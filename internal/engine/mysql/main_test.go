package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
)

func sprint(v any) string { return fmt.Sprint(v) }

// told returns the recorded commands with how they ended, one a line.
func told(t testing.TB, v *enginetest.Visit) []string {
	t.Helper()
	var lines []string
	at := make(map[int64]int)
	for _, e := range v.Journal.Events() {
		switch e.Type {
		case "db.session.start", "db.session.end":
		case "db.session.result":
			i, ok := at[e.Number("statement_ei")]
			if !ok {
				t.Fatalf("a result of nothing: %v", e.Fields)
			}
			outcome := fmt.Sprint(" -> ", e.Number("affected_records"))
			if !e.Flag("success") {
				outcome = " -> " + e.Text("error")
			}
			lines[i] += outcome
		default:
			at[e.Number("ei")] = len(lines)
			text := e.Code
			for _, key := range []string{"db_query", "query", "schema_name", "command", "argument", "subcommand", "process_id", "db_query_parameters", "parameters", "rows_count", "error"} {
				if value, ok := e.Fields[key]; ok {
					text += fmt.Sprint(" ", value)
				}
			}
			lines = append(lines, text)
		}
	}
	return lines
}

func wantTold(t testing.TB, v *enginetest.Visit, want ...string) {
	t.Helper()
	got := told(t, v)
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("recorded:\n%s\nwant:\n%s", a, b)
	}
}

func TestMainPath(t *testing.T) {
	t.Parallel()
	agent := front(t, real(t))
	for range 2 { // with what is assumed of the database, and with what it is known to be able to do
		c := connect(t, agent)
		if got := c.rows(t, "select current_user(), database()"); strings.Join(got, "") != "app@%|orders" {
			t.Errorf("the database sees %q", got)
		}
		if err := c.exec("create or replace table t (id int primary key, name varchar(20))"); err != nil {
			t.Fatal(err)
		}
		if err := c.exec("insert into t values (1, 'Ada'), (2, 'Grace')"); err != nil {
			t.Fatal(err)
		}
		if got := c.rows(t, "select name from t where id = ? or name = ?", int64(2), "Ada"); len(got) != 2 {
			t.Errorf("got %q", got)
		}
		if err := c.exec("select no_such_column from t"); err == nil {
			t.Error("an error did not come through")
		}
		if err := c.exec("update t set name = 'x'; select 1; select id from t"); err != nil {
			t.Error(err)
		}
		v := depart(t, agent, c)
		wantTold(t, v,
			"TDB02I select current_user(), database() -> 1",
			"TDB02I create or replace table t (id int primary key, name varchar(20)) -> 0",
			"TDB02I insert into t values (1, 'Ada'), (2, 'Grace') -> 2",
			"TMY00I select name from t where id = ? or name = ? -> 0",
			"TDB02I select name from t where id = ? or name = ? [2 Ada] -> 2",
			"TDB02I select no_such_column from t -> ERROR 1054 (42S22): Unknown column 'no_such_column' in 'SELECT'",
			"TDB02I update t set name = 'x'; select 1; select id from t -> 2 -> 1 -> 2",
		)
	}
	for range 2 {
		if got := mariadb(t, agent, "select version() like '%MariaDB%' as maria; use orders; select count(*) from t;", "--verbose", "--unbuffered"); !strings.Contains(got, "maria\n1\n") || !strings.Contains(got, "count(*)\n2\n") {
			t.Errorf("mariadb printed %s", got)
		}
	}
}
