package postgres_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/fault"
)

// swallow is a server that reads everything after the login and answers nothing.
var swallow = pgtest.Options{Relay: func(c *pgtest.Conn) { _, _ = io.Copy(io.Discard, c.Conn) }}

// TestMessagesOverTheLimit checks that a message which is too large is told apart from garbage: the client reads the
// limit and a way out, and the log names what was refused, though not a byte of it was kept or sent.
func TestMessagesOverTheLimit(t *testing.T) {
	t.Parallel()
	const size = 64<<20 + 100
	for name, c := range map[string]struct {
		typ        byte
		begin, end string
		text       string
	}{
		"Query":        {'Q', "select length('", "')\x00", "select length('xxx"},
		"Parse":        {'P', "name\x00select length('", "')\x00\x00\x00", "select length('xxx"},
		"Bind":         {'B', "\x00\x00", "\x00\x00", ""},
		"FunctionCall": {'F', "\x00\x00\x00\x01", "\x00\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			options, connections := watched()
			agent, _ := small(t, options)
			w := logIn(t, agent)
			body := c.begin + strings.Repeat("x", size-4-len(c.begin)-len(c.end)) + c.end
			w.write(binary.BigEndian.AppendUint32([]byte{c.typ}, size)...)
			if _, err := io.WriteString(w.Conn, body); err != nil {
				t.Fatal(err)
			}
			message, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := message.(*pgproto3.ErrorResponse); !ok || got.Code != "54000" || !strings.Contains(got.Message, "67108864") || !strings.Contains(got.Message, "COPY") {
				t.Errorf("the client got %v", message)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.LimitExceeded) {
				t.Errorf("the engine returned %v", err)
			}
			sum := sha256.Sum256([]byte(body))
			events := v.Journal.Events("db.session.query.failed", "db.session.malformed_packet")
			if len(events) != 1 || events[0].Code != "TDB02W" || events[0].Number("message_size") != size || events[0].Text("message_sha256") != hex.EncodeToString(sum[:]) ||
				!strings.HasPrefix(events[0].Text("db_query"), c.text) || len(events[0].Text("db_query")) > 64<<10 {
				t.Errorf("recorded %d events: %.500v", len(events), events)
			}
			if got := <-connections; got != string(terminate) {
				t.Errorf("the database got %.100q", got)
			}
		})
	}
}

// TestAMessageOverTheLimitThatBreaksOff checks that the attempt is recorded even so.
func TestAMessageOverTheLimitThatBreaksOff(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, swallow)
	w := logIn(t, agent)
	w.write(append(binary.BigEndian.AppendUint32([]byte{'Q'}, 100<<20), "select 'begun"...)...)
	if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	events := v.Journal.Events("db.session.query.failed")
	if len(events) != 1 || events[0].Number("message_size") != 100<<20 || events[0].Text("message_sha256") != "" || events[0].Text("db_query") != "select 'begun" {
		t.Errorf("recorded %v", events)
	}
}

// TestALargeStatementTakesLittleMoreThanItself counts all that is allocated while one is on its way, also when
// every character of it has to be escaped in the record. It runs alone: the count is the whole process's.
func TestALargeStatementTakesLittleMoreThanItself(t *testing.T) {
	const size = 16 << 20
	for name, text := range map[string]string{"plain": "x", "escaped": "\x01", "not UTF-8": "\xff"} {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			agent, _ := small(t, pgtest.Options{Relay: func(c *pgtest.Conn) {
				_, _ = io.CopyN(io.Discard, c.Conn, size)
				close(read)
			}})
			w := logIn(t, agent)
			message := frame('Q', strings.Repeat(text, size)+"\x00")
			agent.Visit(t, 0).Journal.Forget()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.write(message...)
			select {
			case <-read:
			case <-time.After(enginetest.Patience):
				t.Fatal("the statement does not arrive")
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 6*size {
				t.Errorf("%d MiB were allocated for a statement of %d MiB", got>>20, size>>20)
			}
		})
	}
}

// TestLargeMessagesShareABudget checks that what many sessions keep of messages under way is bounded together, and that a database
// that takes none of its own holds up those of others for a while only.
func TestLargeMessagesShareABudget(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	hold := make(chan struct{})
	defer close(hold)
	engine := postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2*size + size, LargeWait: 10 * time.Second})
	agent, _ := small(t, pgtest.Options{Relay: func(*pgtest.Conn) { <-hold }}, func(cfg *enginetest.Config) { cfg.Engine = engine })
	statement := frame('Q', "select '"+strings.Repeat("x", size)+"'\x00")
	first, second := logIn(t, agent), logIn(t, agent)
	go func() { _, _ = first.Conn.Write(statement) }()
	held := agent.Visit(t, 0)
	awaitRecord(t, held)
	go func() { _, _ = second.Conn.Write(statement) }()
	first.expect("ErrorResponse(FATAL 57P01) end")
	if err := held.Wait(t); !fault.Is(err, fault.LimitExceeded) || !strings.Contains(err.Error(), "others need the memory") {
		t.Errorf("the engine returned %v", err)
	}
	awaitRecord(t, agent.Visit(t, 1))
}

// awaitRecord waits for a statement in the record.
func awaitRecord(t *testing.T, v *enginetest.Visit) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); len(v.Journal.Events("db.session.query")) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the statement is not recorded")
		}
	}
}

// TestALargeStatementThatFindsNoRoomIsToldSo when the one that has it goes on.
func TestALargeStatementThatFindsNoRoomIsToldSo(t *testing.T) {
	t.Parallel()
	const size = 60 << 20
	engine := postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: size, LargeWait: time.Second})
	agent, _ := small(t, swallow, func(cfg *enginetest.Config) { cfg.Engine = engine })
	first := logIn(t, agent)
	statement := frame('Q', strings.Repeat("x", size)+"\x00")
	over := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(over)
	writing.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for piece := range slices.Chunk(statement[:size], 1<<20) {
			if _, err := first.Conn.Write(piece); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-over:
				return
			case <-ticker.C:
			}
		}
	})
	for { // until the first one has its room
		second := logIn(t, agent)
		second.write(statement[:2<<20]...)
		message, err := second.Receive()
		refused, ok := message.(*pgproto3.ErrorResponse)
		if ok && refused.Code == "53000" {
			return
		}
		if !ok || refused.Code != "57P01" { // of a second one that was the first
			t.Fatal(message, err)
		}
	}
}
