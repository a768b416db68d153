package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

// recorded returns the codes of what was recorded between start and end, each with its text.
func recorded(v *enginetest.Visit) []string {
	var all []string
	for _, event := range v.Journal.Events() {
		switch event.Code {
		case "TDB00I", "TDB01I":
		case "TPG00I", "TPG01I":
			all = append(all, event.Code+" "+event.Text("query"))
		case "TDB10I":
			all = append(all, strings.TrimSpace(event.Code+" "+event.Text("sqlstate")))
		default:
			all = append(all, event.Code+" "+event.Text("db_query"))
		}
	}
	return all
}

func wantRecorded(t *testing.T, v *enginetest.Visit, want ...string) {
	t.Helper()
	if got := recorded(v); !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// goodbye ends the session and returns it.
func (w *wire) goodbye(agent *enginetest.Agent) *enginetest.Visit {
	w.t.Helper()
	w.send(&pgproto3.Terminate{})
	v := agent.Visit(w.t, 0)
	if err := v.Wait(w.t); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// TestTextsThatNoExecuteNames checks that the database is sent no text, and plans none, that the log does not have,
// whichever way the text is run by.
func TestTextsThatNoExecuteNames(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, `create table hits(n int); create table accounts(n int);
		create function touch() returns int language plpgsql volatile as 'begin insert into hits values (1); return 1; end';
		create function planned(int) returns int language plpgsql immutable as 'begin return touch(); end';`)
	const deletion, planning = "delete from accounts", "select planned(1)"
	for name, c := range map[string]struct {
		send [][]pgproto3.FrontendMessage // each with its own ReadyForQuery
		want []string
	}{
		"a prepared statement run by SQL": {
			[][]pgproto3.FrontendMessage{
				{&pgproto3.Parse{Name: "s", Query: deletion}, &pgproto3.Sync{}},
				{&pgproto3.Query{String: "execute s"}},
			},
			[]string{"TPG00I " + deletion, "TDB02I execute s", "TDB10I"},
		},
		"a portal read by SQL": {
			[][]pgproto3.FrontendMessage{
				{&pgproto3.Query{String: "begin"}},
				{&pgproto3.Parse{Query: "select 'payroll'"}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Sync{}},
				{&pgproto3.Query{String: "fetch all from p"}},
			},
			[]string{"TDB02I begin", "TDB10I", "TPG01I select 'payroll'", "TDB02I fetch all from p", "TDB10I"},
		},
		"a statement that is only planned": {
			[][]pgproto3.FrontendMessage{{&pgproto3.Parse{Query: planning}, &pgproto3.Bind{}, &pgproto3.Sync{}}},
			[]string{"TPG01I " + planning},
		},
		"a statement that fails when it is planned": {
			[][]pgproto3.FrontendMessage{{&pgproto3.Parse{Query: "select 1/0, planned(1)"}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Sync{}}},
			[]string{"TPG01I select 1/0, planned(1)", "TDB10I 22012"},
		},
		"a Bind behind an error": {
			[][]pgproto3.FrontendMessage{{&pgproto3.Parse{Query: "select wrong"}, &pgproto3.Bind{}, &pgproto3.Sync{}}},
			[]string{"TPG01I select wrong", "TDB10I", "TDB02W select wrong"},
		},
		"a Bind executed in a later write": {
			[][]pgproto3.FrontendMessage{
				{&pgproto3.Query{String: "begin"}},
				{&pgproto3.Parse{Query: "select 2"}, &pgproto3.Bind{}, &pgproto3.Sync{}},
				{&pgproto3.Execute{}, &pgproto3.Sync{}},
			},
			[]string{"TDB02I begin", "TDB10I", "TPG01I select 2", "TDB02I select 2", "TDB10I"},
		},
		"a portal bound again before it is executed": {
			[][]pgproto3.FrontendMessage{{
				&pgproto3.Parse{Query: planning}, &pgproto3.Bind{},
				&pgproto3.Parse{Query: "select 3"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
			}},
			[]string{"TDB02I select 3", "TPG01I " + planning, "TDB10I"},
		},
		"executed in the same write": {
			[][]pgproto3.FrontendMessage{{&pgproto3.Parse{Name: "s", Query: "select 4"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{}}},
			[]string{"TDB02I select 4", "TDB10I"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			for _, messages := range c.send {
				w.send(messages...)
				if got := w.untilReady(); !strings.HasSuffix(got, "ReadyForQuery") {
					t.Fatal(got)
				}
			}
			wantRecorded(t, w.goodbye(agent), c.want...)
		})
	}
}

// TestUnexecutedTextsAreRecordedFirst checks that such a text reaches the database only once it is kept.
func TestUnexecutedTextsAreRecordedFirst(t *testing.T) {
	t.Parallel()
	for name, messages := range map[string][]pgproto3.FrontendMessage{
		"Parse": {&pgproto3.Parse{Name: "s", Query: "delete from accounts"}, &pgproto3.Sync{}},
		"Bind":  {&pgproto3.Parse{Query: "select planned(1)"}, &pgproto3.Bind{}, &pgproto3.Sync{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options, connections := watched()
			agent, _ := small(t, options)
			w := logIn(t, agent)
			v := agent.Visit(t, 0)
			v.Journal.Fail(errors.New("the disk is full"))
			w.send(messages...)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if got := <-connections; got != string(terminate) && got != "" {
				t.Errorf("the database got %q", got)
			}
		})
	}
}
