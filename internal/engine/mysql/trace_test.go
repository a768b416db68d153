package mysql_test

import (
	"bytes"
	"flag"
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

// TestTrace compares what the database hears and says, in a conversation of all kinds of commands, with what it was
// when somebody read it.
func TestTrace(t *testing.T) {
	t.Parallel()
	trace := &locked{left: make(chan struct{})}
	agent, _ := small(t, mysqltest.Options{Trace: trace})
	c := logIn(t, agent, all)
	c.do(mysqlwire.ComQuery, "select 'a text'")
	c.rows()
	c.ok(mysqlwire.ComInitDB, "shop")
	c.ok(mysqlwire.ComPing, "")
	c.ok(mysqlwire.ComSetOption, "\x01\x00")
	c.ok(mysqlwire.ComProcessKill, u32(5))
	c.ok(mysqlwire.ComResetConnection, "")
	c.leave(agent)
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
