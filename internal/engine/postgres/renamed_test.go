package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/postgres"
	"sallyport/internal/pgserver"
)

// TestNamesThatSQLRedefines checks that an Execute is not recorded with a text that it does not run: SQL can give
// the name of a statement or portal another meaning. Where that cannot be followed the record says so.
func TestNamesThatSQLRedefines(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, `create procedure redefine() language plpgsql as 'begin execute ''deallocate s''; execute ''prepare s as select ''''secret''''''; end'`)
	server.Exec(t, `create function redefine_unseen() returns int language plpgsql as 'begin execute ''deallocate s''; execute ''prepare s as select ''''secret''''''; return 1; end'`)
	query := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Query{String: sql}}
	}
	extended := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	}
	parse := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s", Query: "select 'harmless'"}, &pgproto3.Sync{}}
	run := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	begin := []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "begin"},
		&pgproto3.Parse{Name: "s", Query: "select 'harmless'"}, &pgproto3.Bind{PreparedStatement: "s", DestinationPortal: "p"}, &pgproto3.Sync{},
	}
	runPortal := []pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{}}
	const (
		certain   = "select 'secret' false"
		wrong     = "select 'harmless' false"
		uncertain = "select 'harmless' true"
		unknown   = " true"
	)
	for name, c := range map[string]struct {
		steps [][]pgproto3.FrontendMessage
		want  string // of the last Execute
	}{
		"in one query":          {[][]pgproto3.FrontendMessage{parse, query("deallocate s; prepare s as select 'secret'"), run}, uncertain},
		"behind a comment":      {[][]pgproto3.FrontendMessage{parse, query("deallocate /**/ s"), query("/* ; */ prepare s as select 'secret'"), run}, certain},
		"behind others":         {[][]pgproto3.FrontendMessage{parse, query("select 1;;\n--\nDeAllocate\fS ; select 2"), query("PREPARE \"s\" AS select 'secret' ;"), run}, certain},
		"in another order":      {[][]pgproto3.FrontendMessage{parse, query("deallocate all; prepare s as select 'secret'; prepare t as select 3"), run}, unknown},
		"in a block":            {[][]pgproto3.FrontendMessage{parse, query("do $$ begin execute 'deallocate s'; execute 'prepare s as select ''secret'''; end $$"), run}, uncertain},
		"in a block that fails": {[][]pgproto3.FrontendMessage{parse, query("do $$ begin execute 'deallocate s'; execute 'prepare s as select ''secret'''; raise 'no'; end $$"), run}, uncertain},
		"in the extended protocol, in a block that fails behind a semicolon": {[][]pgproto3.FrontendMessage{parse,
			extended(";; do $$ begin execute 'deallocate s'; execute 'prepare s as select ''secret'''; raise 'no'; end $$"), run}, uncertain},
		"in a procedure": {[][]pgproto3.FrontendMessage{parse, query("call redefine()"), run}, uncertain},
		"in a procedure, in the extended protocol":                   {[][]pgproto3.FrontendMessage{parse, extended("call redefine()"), run}, uncertain},
		"in the extended protocol":                                   {[][]pgproto3.FrontendMessage{parse, extended("deallocate s"), extended("prepare s as select 'secret'"), run}, certain},
		"in a function, which docs/databases/postgres.md owns up to": {[][]pgproto3.FrontendMessage{parse, query("select redefine_unseen()"), run}, wrong},
		"ahead of the answers": {[][]pgproto3.FrontendMessage{parse, append(append(
			query("deallocate s; prepare s as select 'secret'"), query("select 1")...), run...)}, uncertain},
		"by SQL only":                 {[][]pgproto3.FrontendMessage{query("prepare s as select 'secret'"), run}, certain},
		"by SQL only, not understood": {[][]pgproto3.FrontendMessage{query("begin; prepare s as select 'secret'; commit"), run}, unknown},
		"defined again":               {[][]pgproto3.FrontendMessage{query("do ''"), query("prepare s as select 1; deallocate s"), {&pgproto3.Parse{Name: "s", Query: "select 'secret'"}, &pgproto3.Sync{}}, run}, certain},
		"not at all":                  {[][]pgproto3.FrontendMessage{{&pgproto3.Parse{Name: "s", Query: "select 'secret'"}, &pgproto3.Sync{}}, query("select 'do'; select 'x;y'"), run}, certain},
		"a text with a semicolon":     {[][]pgproto3.FrontendMessage{parse, query("deallocate s"), query("prepare s as select 'secret' as \"a;b\""), run}, unknown},

		"a cursor":                        {[][]pgproto3.FrontendMessage{begin, query("close p; declare p cursor for select 'secret'"), runPortal}, uncertain},
		"a cursor ahead of the answers":   {[][]pgproto3.FrontendMessage{append(append(append([]pgproto3.FrontendMessage{}, begin...), query("close p; declare p cursor for select 'secret'")...), runPortal...)}, uncertain},
		"a cursor in another transaction": {[][]pgproto3.FrontendMessage{begin, query("commit; begin; declare p cursor for select 'secret'"), runPortal}, uncertain},
		"a cursor behind a rollback":      {[][]pgproto3.FrontendMessage{begin, query("rollback and chain"), query("declare p cursor for select 'secret'"), runPortal}, uncertain},
		"a cursor in a block":             {[][]pgproto3.FrontendMessage{begin, query("do $$ declare c refcursor := 'p'; begin close c; open c for select 'secret'; end $$"), runPortal}, uncertain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			got := ""
			for _, step := range c.steps {
				w.send(step...)
				for _, message := range step {
					switch message.(type) {
					case *pgproto3.Sync, *pgproto3.Query:
						got = w.untilReady()
					}
				}
			}
			if !strings.Contains(got, "DataRow(secret)") {
				t.Fatalf("the server answered %s", got)
			}
			all := w.goodbye(agent).Journal.Events("db.session.query")
			last := all[len(all)-1]
			if got := fmt.Sprintf("%s %v", last.Text("db_query"), last.Flag("query_uncertain")); got != c.want {
				t.Errorf("recorded %q, want %q", got, c.want)
			}
		})
	}
}

// TestNamesFreedWithDefinitionsUnderWay checks that what is freed in the middle of a pipeline is forgotten, and what
// is defined behind it is not.
func TestNamesFreedWithDefinitionsUnderWay(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	for _, free := range []string{"discard all", "deallocate all", "DEALLOCATE PREPARE ALL;"} {
		t.Run(free, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			run := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{}}
			w.send(slices.Concat(
				[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s", Query: "select 'old'"}, &pgproto3.Sync{}, &pgproto3.Query{String: free}}, run,
				[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "s", Query: "select 'new'"}, &pgproto3.Sync{}}, run)...)
			w.expect("ParseComplete ReadyForQuery")
			w.untilReady()
			w.expect("ErrorResponse(ERROR 26000) ReadyForQuery")
			w.expect("ParseComplete ReadyForQuery")
			w.expect("BindComplete DataRow(new) CommandComplete(SELECT 1) ReadyForQuery")
			var got []string
			for _, event := range w.goodbye(agent).Journal.Events("db.session.query") {
				got = append(got, fmt.Sprintf("%s %v", event.Text("db_query"), event.Flag("query_uncertain")))
			}
			if want := []string{free + " false", " true", "select 'new' false"}; !slices.Equal(got, want) {
				t.Errorf("recorded %q, want %q", got, want)
			}
		})
	}
}

// TestLookingForNamesIsBounded has texts that would take hours if each of their comments were looked at from each
// semicolon in them.
func TestLookingForNamesIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		strings.Repeat(";/*", 1<<20):            true, // too much to be sure
		strings.Repeat("select 1;", 1<<20):      false,
		strings.Repeat(";", 1<<20) + "call f()": true,
	} {
		if got := postgres.Touches([]byte(text)); got != want {
			t.Errorf("%.20q…: %v", text, got)
		}
	}
}
