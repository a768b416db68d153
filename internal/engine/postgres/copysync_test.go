package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/pgserver"
)

// TestCopyWithAMessageBehindAnEarlySync checks what stands directly behind a COPY whose Sync was sent before its data:
// whether the database executes it depends on how far it had read when the COPY failed. Such a message is not sent.
func TestCopyWithAMessageBehindAnEarlySync(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create table copied (n int)")
	begin := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "copy copied from stdin"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}
	for name, data := range map[string]string{"good data": "1\n", "bad data": "bad\n"} {
		for when, told := range map[string]bool{"all at once": false, "when it has begun": true} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				agent := front(t, server)
				w := logIn(t, agent)
				rest := []pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte(data)}, &pgproto3.CopyDone{}, &pgproto3.Query{String: "select 'behind'"}, &pgproto3.Sync{}}
				got := ""
				if told {
					w.send(begin...)
					for range 3 {
						message, err := w.Receive()
						if err != nil {
							t.Fatal(err)
						}
						got += describe(message) + " "
					}
					w.send(rest...)
				} else {
					w.send(append(begin[:len(begin):len(begin)], rest...)...)
				}
				if got += w.untilReady(); !strings.HasSuffix(got, malformedAnswer) {
					t.Errorf("got %s", got)
				}
				v := agent.Visit(t, 0)
				if err := v.Wait(t); err == nil {
					t.Error("the engine returned no error")
				}
				if got := queries(v); !slices.Equal(got, []string{"copy copied from stdin"}) {
					t.Errorf("recorded %q", got)
				}
			})
		}
	}
}

// TestManySyncsWithinACopy sends more of them than may be under way: none is answered before the COPY ends.
func TestManySyncsWithinACopy(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create table copied (n int)")
	const many = 10_100
	syncs := slices.Repeat([]pgproto3.FrontendMessage{&pgproto3.Sync{}}, many)
	for name, c := range map[string]struct {
		data string
		want string
	}{
		"that succeeds": {"1\n", "CopyInResponse CommandComplete(COPY 1) ReadyForQuery"},
		"that fails":    {"x\n", "CopyInResponse ErrorResponse(ERROR 22P02) ReadyForQuery"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			w.send(slices.Concat([]pgproto3.FrontendMessage{&pgproto3.Query{String: "copy copied from stdin"}}, syncs,
				[]pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte(c.data)}, &pgproto3.CopyDone{}})...)
			w.expect(c.want)
			w.send(&pgproto3.Query{String: "select 'after'"})
			w.expect("RowDescription DataRow(after) CommandComplete(SELECT 1) ReadyForQuery")
			outcomes(t, w.goodbye(agent))
		})
	}
}

// TestCopyVolume checks that the bytes of a COPY are counted for it, also when more is sent ahead of its answer.
func TestCopyVolume(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create table copied (n int)")
	data := func(text string) *pgproto3.CopyData { return &pgproto3.CopyData{Data: []byte(text)} }
	query := func(sql string) *pgproto3.Query { return &pgproto3.Query{String: sql} }
	const copyIn = "copy copied from stdin"
	for name, c := range map[string]struct {
		send []pgproto3.FrontendMessage
		want []string // of each result
	}{
		"a query behind it": {[]pgproto3.FrontendMessage{query(copyIn), data("1\n2\n3\n"), &pgproto3.CopyDone{}, query("select 1")}, []string{"in 6", " 0"}},
		"another behind it": {[]pgproto3.FrontendMessage{query(copyIn), data("1\n2\n3\n"), &pgproto3.CopyDone{}, query(copyIn), data("4\n"), &pgproto3.CopyDone{}}, []string{"in 6", "in 2"}},
		"two in one query":  {[]pgproto3.FrontendMessage{query(copyIn + ";" + copyIn), data("1\n2\n"), &pgproto3.CopyDone{}, data("4\n"), &pgproto3.CopyDone{}, query("select 1")}, []string{"in 4", "in 2", " 0"}},
		"one that is ended": {[]pgproto3.FrontendMessage{query(copyIn), data("1\n2\n3\n"), &pgproto3.CopyFail{}, query("select 1")}, []string{"in 6", " 0"}},
		"one that goes on":  {[]pgproto3.FrontendMessage{query(copyIn), data("1\n"), data("2\n"), &pgproto3.CopyDone{}}, []string{"in 4"}},
		"in the extended protocol": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: copyIn}, &pgproto3.Bind{}, &pgproto3.Execute{}, data("1\n2\n"), &pgproto3.CopyDone{},
			&pgproto3.Parse{Query: "select 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"in 4", " 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server)
			w := logIn(t, agent)
			w.send(c.send...)
			var got []string
			for _, event := range w.goodbye(agent).Journal.Events("db.session.result") {
				got = append(got, fmt.Sprint(event.Text("copy_direction"), " ", event.Number("copy_bytes")))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("recorded %s, want %s", strings.Join(got, ", "), strings.Join(c.want, ", "))
			}
		})
	}
}
