package mysql_test

import (
	"bytes"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// locked is a buffer that several goroutines write.
type locked struct {
	mu   sync.Mutex
	buf  bytes.Buffer  // guarded by mu
	left chan struct{} // closed when the client has said goodbye
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buf.Write(p)
	if bytes.HasSuffix(l.buf.Bytes(), []byte("\nC 0 \"\\x01\"\n")) {
		close(l.left)
	}
	return n, err
}

// traced is a login by caching_sha2_password to a server that does not know the proof yet, as MySQL 8 after its start.
func traced(c *mysqltest.Conn) bool {
	c.Note("C", c.Sequence-1, fmt.Appendf(nil, "%s@%s by %s", c.Account.User, c.Account.Database, c.Account.Method))
	hear := func() {
		payload, sequence, _ := mysqlwire.ReadPacket(c, 1<<16)
		c.Note("C", sequence, payload)
		c.Sequence = sequence + 1
	}
	wish := mysqlwire.SwitchRequest{Method: mysqlwire.CachingSHA2, Nonce: nonce}
	if c.Packets(wish.Append(nil)) != nil {
		return false
	}
	hear()
	if c.Packets([]byte{1, 4}) != nil {
		return false
	}
	hear()
	return c.OK() == nil
}

// tracedCommand answers what the small server does not by itself.
func tracedCommand(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
	end, more, cursor := []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}, []byte{mysqlwire.HeaderEOF, 0, 0, 10, 0}, []byte{mysqlwire.HeaderEOF, 0, 0, 0x42, 0}
	column, row := mysqltest.Column("?"), []byte("\x00\x00\x01a")
	no := []byte("\xff\x28\x04#42000no")
	var packets [][]byte
	switch {
	case got == mysqlwire.ComStmtLongData, got == mysqlwire.ComStmtClose:
		return true
	case got == mysqlwire.ComStmtPrepare:
		packets = [][]byte{{0, 7, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0}, column, column, end, column, end}
	case got == mysqlwire.ComStmtExecute && body[4] != 0:
		packets = [][]byte{{1}, column, cursor}
	case got == mysqlwire.ComStmtExecute:
		packets = [][]byte{{1}, column, end, row, end}
	case got == mysqlwire.ComStmtFetch:
		packets = [][]byte{row, {mysqlwire.HeaderEOF, 0, 0, 0x82, 0}}
	case got == mysqlwire.ComStmtBulkExecute:
		packets = [][]byte{{0, 2, 0, 2, 0, 0, 0}}
	case string(body) == "wrong":
		packets = [][]byte{no}
	case string(body) == "insert 1; select 2; wrong":
		packets = [][]byte{{0, 1, 0, 10, 0, 0, 0}, {1}, column, end, []byte("\x012"), more, no}
	case string(body) == "use other":
		packets = [][]byte{[]byte("\x00\x00\x00\x02\x40\x00\x00\x00\x08\x01\x06\x05other")}
	default:
		return false
	}
	return c.Packets(packets...) == nil
}

// TestTrace compares what the database hears and says, in a conversation of all kinds of commands, with what it was
// when somebody read it.
func TestTrace(t *testing.T) {
	t.Parallel()
	trace := &locked{left: make(chan struct{})}
	agent, _ := small(t, mysqltest.Options{Trace: trace, Login: traced, Command: tracedCommand, Greeting: func(g *mysqlwire.Greeting) {
		// As MariaDB's: without the first flag there are more.
		g.Flags = g.Flags&^mysqlwire.LongPassword | mysqlwire.SessionTrack | mysqlwire.BulkOperations
	}}, password("secret"), look(t))
	c := logIn(t, agent, all)
	c.do(mysqlwire.ComQuery, "select 'a text'")
	c.rows()
	p := c.prepare("select ?, ?")
	c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", "b"))
	c.rows()
	c.write(command(mysqlwire.ComStmtLongData, u32(p.ID)+"\x01\x00a piece"))
	c.do(mysqlwire.ComStmtExecute, execution(mysqlwire.LastStatement, 1, "a", long)) // with a cursor
	for range 2 {
		c.packet() // the end of the definitions, and of the answer
	}
	c.do(mysqlwire.ComStmtFetch, u32(p.ID)+u32(10))
	c.packet()
	c.ok(mysqlwire.ComStmtBulkExecute, u32(p.ID)+"\x80\x00\x03\x00\xfe\x00\x00\x07\x00\x00\x00\x00\x01a\x01\x02")
	c.ok(mysqlwire.ComStmtReset, u32(p.ID))
	c.write(command(mysqlwire.ComStmtClose, u32(p.ID)))
	c.errorOf(c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", "b"))) // ours: the database does not hear of it
	c.errorOf(c.do(mysqlwire.ComQuery, "wrong"))
	c.do(mysqlwire.ComQuery, "insert 1; select 2; wrong")
	c.packet()
	c.rows()
	c.packet()
	c.ok(mysqlwire.ComQuery, "use other")
	c.ok(mysqlwire.ComInitDB, "shop")
	c.ok(mysqlwire.ComPing, "")
	c.ok(mysqlwire.ComSetOption, "\x01\x00")
	c.ok(mysqlwire.ComProcessKill, u32(5))
	c.ok(mysqlwire.ComResetConnection, "")
	wantTold(t, c.leave(agent), recordedInTrace...)
	select {
	case <-trace.left: // the server reads the goodbye when it comes to it
	case <-time.After(20 * time.Second):
		t.Error("the server heard no goodbye")
	}
	trace.mu.Lock()
	got := trace.buf.Bytes()
	trace.mu.Unlock()
	enginetest.Golden(t, "trace.txt", string(got), *update)
}

// recordedInTrace is what is recorded of that conversation.
var recordedInTrace = []string{
	"TDB02I select 'a text' -> 1",
	"TMY00I select ?, ? -> 0",
	"TDB02I select ?, ? [a b] -> 1",
	"TMY02I",
	"TDB02I select ?, ? [a <nil>] -> 0",
	"TMY05I 10 -> 1",
	"TMY06I select ?, ? [7 a <nil> DEFAULT] 2 -> 2",
	"TDB02W  Unknown prepared statement handler (7) given to mysqld_stmt_execute",
	"TDB02I wrong -> ERROR 1064 (42000): no",
	"TDB02I insert 1; select 2; wrong -> 1 -> 1 -> ERROR 1064 (42000): no",
	"TDB02I use other -> 0",
	"TMY07I shop -> 0",
	"SMY00I set_option multi_statements_off -> 0",
	"TMY11I 5 -> 0",
	"SMY00I reset_connection -> 0",
}
