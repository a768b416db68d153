package mysql_test

import (
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// TestNamesThatNoDatabaseHas checks that no long name gets into all events to come.
func TestNamesThatNoDatabaseHas(t *testing.T) {
	t.Parallel()
	tracked := func(name string) []byte {
		entry := append([]byte{1, byte(len(name) + 1), byte(len(name))}, name...)
		return append(append([]byte{0, 0, 0, 2, 0x40, 0, 0, 0}, byte(len(entry))), entry...)
	}
	for name, c := range map[string]struct {
		command mysqlwire.Command
		body    string
		answer  []byte
		want    string // of the events to come; empty for the end
	}{
		"64 characters, told":   {mysqlwire.ComQuery, "use x", tracked(strings.Repeat("é", 64)), strings.Repeat("é", 64)},
		"65 characters, told":   {mysqlwire.ComQuery, "use x", tracked(strings.Repeat("é", 65)), ""},
		"64 characters, chosen": {mysqlwire.ComInitDB, strings.Repeat("é", 64), mysqlwire.AppendOK(nil, 2), strings.Repeat("é", 64)},
		"65 characters, chosen": {mysqlwire.ComInitDB, strings.Repeat("é", 65), mysqlwire.AppendOK(nil, 2), ""},
		"64 of four bytes":      {mysqlwire.ComInitDB, strings.Repeat("🐘", 64), mysqlwire.AppendOK(nil, 2), strings.Repeat("🐘", 64)},
		"65 of four bytes":      {mysqlwire.ComInitDB, strings.Repeat("🐘", 65), mysqlwire.AppendOK(nil, 2), ""},
		"a mebibyte, chosen":    {mysqlwire.ComInitDB, strings.Repeat("x", 1<<20), mysqlwire.AppendOK(nil, 2), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mysqltest.Options{
				Greeting: func(g *mysqlwire.Greeting) { g.Flags |= mysqlwire.SessionTrack },
				Command: func(conn *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
					return got == c.command && string(body) == c.body && conn.Packets(c.answer) == nil
				},
			})
			logIn(t, agent, all).leave(agent)
			client := logIn(t, agent, all)
			if first := client.do(c.command, c.body); (first[0] == mysqlwire.HeaderError) != (c.want == "") {
				t.Fatalf("got %q", first)
			}
			if c.want == "" {
				client.ends()
				return
			}
			client.do(mysqlwire.ComQuery, "select 1")
			client.rows()
			queries := client.leave(agent).Journal.Events("db.session.query")
			if got := queries[len(queries)-1].Text("db_name"); got != c.want {
				t.Errorf("recorded in %q", got)
			}
		})
	}
}

// TestLongNamesAreNotKept while the database has not said whether it has such a one. It runs alone: the heap is the whole
// process's.
func TestLongNamesAreNotKept(t *testing.T) {
	const size = 8 << 20
	arrived := make(chan int)
	agent, _ := small(t, mysqltest.Options{Command: func(_ *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
		if got != mysqlwire.ComInitDB {
			return false
		}
		arrived <- len(body)
		return true // without an answer
	}})
	c := logIn(t, agent, all)
	agent.Visit(t, 0).Journal.Forget()
	before := enginetest.LiveHeap()
	c.write(command(mysqlwire.ComInitDB, strings.Repeat("x", size)))
	if n := <-arrived; n != size {
		t.Fatalf("the database got a name of %d bytes", n)
	}
	enginetest.AwaitHeap(t, before+size/2)
	runtime.KeepAlive(agent)
}
