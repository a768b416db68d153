package postgres_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/pgserver"
)

// TestCopyStates checks that we and the server agree on where a COPY begins and ends, however it goes.
func TestCopyStates(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, `
		create table copied (n int);
		create table guarded (n int);
		create function refuse() returns trigger language plpgsql as 'begin raise exception ''refused''; end';
		create trigger refuse before insert on guarded for each statement execute function refuse();`)
	data := func(text string) *pgproto3.CopyData { return &pgproto3.CopyData{Data: []byte(text)} }
	extended := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	}
	const begun = "ParseComplete BindComplete CopyInResponse "
	for name, c := range map[string]struct {
		send   []pgproto3.FrontendMessage // all at once
		want   []string                   // one for each ReadyForQuery
		result string
	}{
		"a simple query": {
			[]pgproto3.FrontendMessage{&pgproto3.Query{String: "copy copied from stdin"}, data("1\n"), data("2\n"), &pgproto3.CopyDone{}},
			[]string{"CopyInResponse CommandComplete(COPY 2)"}, "in 4 2 ",
		},
		"a simple query with Syncs and Flushes in between": {
			[]pgproto3.FrontendMessage{&pgproto3.Query{String: "copy copied from stdin"}, data("1\n"), &pgproto3.Sync{}, &pgproto3.Flush{}, data("2\n"), &pgproto3.Sync{}, &pgproto3.CopyDone{}},
			[]string{"CopyInResponse CommandComplete(COPY 2)"}, "in 4 2 ",
		},
		"two in a simple query": {
			[]pgproto3.FrontendMessage{&pgproto3.Query{String: "copy copied from stdin; copy copied from stdin"}, data("1\n"), &pgproto3.CopyDone{}, data("2\n"), &pgproto3.CopyDone{}},
			[]string{"CopyInResponse CommandComplete(COPY 1) CopyInResponse CommandComplete(COPY 1)"}, "in 2 1 ",
		},
		"extended, with a Sync at once": {
			append(extended("copy copied from stdin"), data("1\n"), &pgproto3.CopyDone{}, &pgproto3.Sync{}),
			[]string{begun + "CommandComplete(COPY 1)"}, "in 2 1 ",
		},
		"extended, given up": {
			append(extended("copy copied from stdin"), data("1\n"), &pgproto3.CopyFail{Message: "no"}, &pgproto3.Sync{}),
			[]string{begun + "ErrorResponse(ERROR 57014)"}, "in 2 0 57014",
		},
		"extended, with bad data": {
			append(extended("copy copied from stdin"), data("x\n"), data("2\n"), &pgproto3.CopyDone{}, &pgproto3.Sync{}),
			[]string{begun + "ErrorResponse(ERROR 22P02)"}, "in 4 0 22P02",
		},
		"extended, refused before the data is read": {
			append(extended("copy guarded from stdin"), data("1\n"), &pgproto3.CopyDone{}, &pgproto3.Sync{}),
			[]string{begun + "ErrorResponse(ERROR P0001)", ""}, "in 2 0 P0001", // both Syncs are answered
		},
		"extended, unknown table": {
			append(extended("copy nowhere from stdin"), data("1\n"), &pgproto3.CopyDone{}, &pgproto3.Sync{}),
			[]string{"ParseComplete BindComplete ErrorResponse(ERROR 42P01)", ""}, " 0 0 42P01",
		},
		"out, extended": {
			extended("copy (select generate_series(1, 3)) to stdout"),
			[]string{"ParseComplete BindComplete CopyOutResponse CopyData CopyData CopyData CopyDone CommandComplete(COPY 3)"}, "out 6 3 ",
		},
		"out, and then an error": {
			extended("copy (select 1/(3-n) from generate_series(1, 3) n) to stdout"),
			[]string{"ParseComplete BindComplete CopyOutResponse CopyData CopyData ErrorResponse(ERROR 22012)"}, "out 4 0 22012",
		},
		"data without a copy is ignored": {
			[]pgproto3.FrontendMessage{data("1\n"), &pgproto3.CopyDone{}, &pgproto3.CopyFail{}, &pgproto3.Query{String: "copy copied from stdin"}, &pgproto3.CopyDone{}},
			[]string{"CopyInResponse CommandComplete(COPY 0)"}, "in 0 0 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			w.send(c.send...)
			for _, want := range c.want {
				if want != "" {
					want += " "
				}
				w.expect(want + "ReadyForQuery")
			}
			// Back in command mode: what follows is read and attributed as it should be.
			w.send(extended("select 'after'")...)
			w.expect("ParseComplete BindComplete DataRow(after) CommandComplete(SELECT 1) ReadyForQuery")
			w.send(&pgproto3.Query{String: "select 'later'"})
			w.expect("RowDescription DataRow(later) CommandComplete(SELECT 1) ReadyForQuery")
			w.send(&pgproto3.Terminate{})
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err != nil {
				t.Fatal(err)
			}
			all := outcomes(t, v)
			r := all[0].Result[0]
			if got := fmt.Sprintf("%s %d %d %s", r.Text("copy_direction"), r.Number("copy_bytes"), r.Number("affected_records"), r.Text("sqlstate")); got != c.result {
				t.Errorf("recorded %q, want %q", got, c.result)
			}
			if got := queries(v)[1:]; !slices.Equal(got, []string{"select 'after'", "select 'later'"}) || !all[1].Result[0].Flag("success") {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

// TestCopyAndOtherMessages sends a query in the middle of a COPY, at which the server gives the connection up.
func TestCopyAndOtherMessages(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "create temp table t (n int); copy t from stdin"}, &pgproto3.Query{String: "select 'lost'"})
	w.expect("CommandComplete(CREATE TABLE) CopyInResponse ErrorResponse(ERROR 08P01) ErrorResponse(FATAL 08P01) end")
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	all := outcomes(t, v)
	if last := all[len(all)-1]; len(all) != 2 || last.Result[0].Flag("success") {
		t.Errorf("recorded %v", all)
	}
}

func TestFunctionCalls(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := logIn(t, agent)
	const abs = 1397 // pg_proc.dat: abs(integer)
	w.send(&pgproto3.FunctionCall{Function: abs, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("-3")}})
	w.expect("FunctionCallResponse ReadyForQuery")
	w.send(&pgproto3.FunctionCall{Function: 1})
	w.expect("ErrorResponse(ERROR 42883) ReadyForQuery")
	w.send(&pgproto3.Terminate{})
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatal(err)
	}
	all := outcomes(t, v)
	if len(all) != 2 || all[0].Query.Number("function_oid") != abs || fmt.Sprint(all[0].Query.Fields["function_args"]) != "[-3]" || !all[0].Result[0].Flag("success") {
		t.Errorf("recorded %v", all)
	}
	if r := all[1].Result[0]; r.Flag("success") || r.Text("sqlstate") != "42883" {
		t.Errorf("recorded %v", r.Fields)
	}
}

// TestNamesAreNotCutOff checks the reason for our limit: the server takes two names for one if they begin alike.
func TestNamesAreNotCutOff(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := logIn(t, agent)
	name := ""
	for len(name) < 63 {
		name += "n"
	}
	w.send(&pgproto3.Parse{Name: name, Query: "select 'longest'"}, &pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect("ParseComplete BindComplete DataRow(longest) CommandComplete(SELECT 1) ReadyForQuery")
	w.send(&pgproto3.Bind{PreparedStatement: name + "x"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	w.expect("ErrorResponse(FATAL 42622) end")
	if got := queries(agent.Visit(t, 0)); len(got) != 1 {
		t.Errorf("recorded %q", got)
	}
}
