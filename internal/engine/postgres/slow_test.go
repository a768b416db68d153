package postgres_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/pgserver"
)

const (
	poured    = 96 << 20 // far more than the buffers of the connections hold
	mayBeHeld = 8 << 20
)

// pour writes the bytes again and again, until so many were written, and counts them.
func pour(w io.Writer, piece []byte, count *atomic.Int64) error {
	for count.Load() < poured {
		n, err := w.Write(piece)
		count.Add(int64(n))
		if err != nil {
			return err
		}
	}
	return nil
}

// stall waits until the count stands still because the relay cannot write on, nor whoever pours, and returns what is on the
// heap then. Tests that call it are not parallel, so that the goroutines are theirs.
func stall(t *testing.T, count *atomic.Int64) int64 {
	t.Helper()
	before, since := int64(0), time.Now()
	for deadline := since.Add(enginetest.Patience); time.Since(since) < 200*time.Millisecond; time.Sleep(time.Millisecond) {
		now := count.Load()
		if now >= poured || time.Now().After(deadline) {
			t.Fatalf("it does not stall: %d bytes were written", now)
		}
		if now == 0 || now != before || !cannotWrite("(*relay).readClient", "(*relay).readServer") || !cannotWrite("postgres_test.pour") {
			before, since = now, time.Now()
		}
	}
	return enginetest.LiveHeap()
}

// cannotWrite reports whether a goroutine in one of the functions waits for room to write.
func cannotWrite(functions ...string) bool {
	var stacks bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
		if strings.Contains(stack, "(*pollDesc).waitWrite") && slices.ContainsFunc(functions, func(f string) bool { return strings.Contains(stack, f) }) {
			return true
		}
	}
	return false
}

// TestAClientThatDoesNotRead checks that the answers it does not take wait at the database and not in the agent's memory,
// and that none is lost. It runs alone: the heap is the whole process's.
func TestAClientThatDoesNotRead(t *testing.T) {
	var sent atomic.Int64
	agent, _ := small(t, pgtest.Options{Relay: func(c *pgtest.Conn) {
		_, _ = c.Conn.Read(make([]byte, 1<<10))
		_ = pour(c.Conn, bytes.Repeat(frame('D', strings.Repeat("x", 1<<10-5)), 64), &sent)
		_, _ = c.Conn.Write(bytes.Join([][]byte{frame('C', "SELECT 1\x00"), frame('Z', "I")}, nil))
		_, _ = c.Conn.Read(make([]byte, 1))
	}})
	w := logIn(t, agent)
	before := enginetest.LiveHeap()
	w.write(frame('Q', "select\x00")...)
	if after := stall(t, &sent); after > before+mayBeHeld {
		t.Errorf("the agent holds %d KiB", (after-before)>>10)
	}
	got, err := io.CopyN(io.Discard, w.Conn, poured)
	if err != nil || got != poured {
		t.Fatalf("the client got %d bytes: %v", got, err)
	}
	w.expect("CommandComplete(SELECT 1) ReadyForQuery")
}

// TestADatabaseThatDoesNotRead is the other direction: the data of a COPY that the database does not take wait at the client.
func TestADatabaseThatDoesNotRead(t *testing.T) {
	release := make(chan struct{})
	var received atomic.Int64
	agent, _ := small(t, pgtest.Options{Relay: func(c *pgtest.Conn) {
		query := frame('Q', "copy t from stdin\x00")
		_, _ = io.ReadFull(c.Conn, make([]byte, len(query)))
		_, _ = c.Conn.Write(frame('G', "\x00\x00\x00"))
		<-release
		n, _ := io.CopyN(io.Discard, c.Conn, poured)
		received.Store(n)
		_, _ = c.Conn.Write(bytes.Join([][]byte{frame('C', "COPY 1\x00"), frame('Z', "I")}, nil))
		_, _ = c.Conn.Read(make([]byte, 1<<10))
	}})
	w := logIn(t, agent)
	before := enginetest.LiveHeap()
	w.write(frame('Q', "copy t from stdin\x00")...)
	if _, err := w.Receive(); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	written := make(chan error, 1)
	go func() { written <- pour(w.Conn, frame('d', strings.Repeat("x", 64<<10-5)), &sent) }()
	if after := stall(t, &sent); after > before+mayBeHeld {
		t.Errorf("the agent holds %d KiB", (after-before)>>10)
	}
	close(release)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	w.expect("CommandComplete(COPY 1) ReadyForQuery")
	if n := received.Load(); n != poured {
		t.Errorf("the database got %d bytes", n)
	}
	_ = w.Conn.(*net.TCPConn).Close()
}

// TestPsqlLargeObjects checks psql's own commands for them, which are function calls of the protocol.
func TestPsqlLargeObjects(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	content := bytes.Repeat([]byte("\x00\x01large object\xff"), 50_000)
	if err := os.WriteFile(in, content, 0o600); err != nil {
		t.Fatal(err)
	}
	printed := psql(t, agent, fmt.Sprintf("\\lo_import %s 'comment'\n\\lo_export :LASTOID %s\n\\lo_unlink :LASTOID\n", in, out))
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes came back: %v; psql printed %s", len(got), err, printed)
	}
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatal(err)
	}
	calls, written := 0, 0
	for _, o := range outcomes(t, v) {
		if o.Query.Type != "db.session.postgres.function" {
			continue
		}
		calls++
		if !o.Result[0].Flag("success") {
			t.Errorf("recorded %v", o.Result[0].Fields)
		}
		const lowrite = 955 // pg_proc.dat
		if o.Query.Number("function_oid") == lowrite {
			arguments := o.Query.Fields["function_args"].([]any)
			if places := fmt.Sprint(o.Query.Fields["function_args_binary"]); len(arguments) != 2 || places != "[0 1]" {
				t.Errorf("arguments at %s of %d", places, len(arguments))
			}
			written += len(arguments[1].(string)) / 4 * 3
		}
	}
	if calls < 10 || written < len(content) {
		t.Errorf("%d calls with %d bytes were recorded", calls, written)
	}
	if end := v.Journal.Events("db.session.end")[0]; end.Number("statements") < int64(calls) {
		t.Errorf("end: %v", end.Fields)
	}
}
