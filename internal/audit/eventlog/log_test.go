package eventlog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/fault"
)

const (
	authHost = "11111111-1111-4111-8111-111111111111"
	agent    = "22222222-2222-4222-8222-222222222222"
)

var noon = time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func config(dir string) eventlog.Config {
	return eventlog.Config{
		Dir: dir, HostID: authHost, Now: (&clock{now: noon}).Now,
		Encoder: audit.NewEncoder("c", audit.NewUIDs(rand.Reader)),
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// open opens a log that is closed at the end of the test.
func open(t testing.TB, config eventlog.Config) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // some tests close it or break it
	return l
}

// emitter is an agent with one session after the other.
type emitter struct {
	host, stream string
	next         uint64
	chain        *audit.Chain
	now          time.Time
}

func newEmitter(t testing.TB) *emitter {
	t.Helper()
	e := &emitter{host: agent, stream: uuid.NewString(), now: noon}
	e.login(t, "bea")
	return e
}

// login begins a session.
func (e *emitter) login(t testing.TB, user string) {
	t.Helper()
	chain, err := audit.NewChain(audit.ChainConfig{ClusterName: "c", UIDs: audit.NewUIDs(rand.Reader),
		User: audit.UserMeta{User: user}, Session: audit.SessionMeta{SID: uuid.NewString()},
		Database: audit.DatabaseMeta{Service: "billing", Protocol: "postgres", URI: "db.example.org:5432", Name: "ledger", User: "reader"}})
	if err != nil {
		t.Fatal(err)
	}
	e.chain = chain
}

// lines returns the next events of the session: a start, then statements and their results.
func (e *emitter) lines(t testing.TB, count int) [][]byte {
	t.Helper()
	lines := make([][]byte, count)
	for i := range lines {
		var event audit.SessionEvent
		switch n := e.chain.Next(); {
		case n == 0:
			event = &audit.DatabaseSessionStart{Status: audit.Status{Success: true}}
		case n%2 == 1:
			event = &audit.DatabaseQuery{Query: fmt.Appendf(nil, "select %d from accounts", n)}
		default:
			event = &audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: n - 1, Rows: 1}
		}
		lines[i] = e.line(t, event)
	}
	return lines
}

func (e *emitter) line(t testing.TB, event audit.SessionEvent) []byte {
	t.Helper()
	line, err := e.chain.Append(nil, event, e.now)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// batch numbers lines in the emitter's stream.
func (e *emitter) batch(lines ...[]byte) eventlog.Batch {
	b := eventlog.Batch{Host: e.host, Stream: e.stream, FirstSeq: e.next, Lines: lines}
	e.next += uint64(len(lines))
	return b
}

func appendBatch(t testing.TB, l *eventlog.Log, batch eventlog.Batch, want int) {
	t.Helper()
	if stored, err := l.Append(t.Context(), batch); err != nil || stored != want {
		t.Fatalf("stored %d, want %d: %v", stored, want, err)
	}
}

// all returns all events in the order of the search.
func all(t testing.TB, l *eventlog.Log, query eventlog.Query) (lines [][]byte) {
	t.Helper()
	for {
		page, err := l.Search(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, page.Lines...)
		if page.Next == "" {
			return lines
		}
		if len(page.Lines) == 0 {
			t.Fatal("an empty page that is not the last")
		}
		query.Cursor = page.Next
	}
}

// check makes sure that the log's lines on disk are whole, numbered without holes, each event once, and
// that the index finds exactly them. It returns the events.
func check(t testing.TB, l *eventlog.Log, dir string) (events [][]byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, authHost, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		stream string
		seq    uint64
	}
	seen := make(map[place]bool)
	stored := make(map[string]bool)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			event, envelope, err := eventlog.SplitLine(line)
			if err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			if _, err := audit.Parse(event); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(line) {
				t.Fatalf("not JSON: %s", line)
			}
			if envelope.Index != int64(len(events)) {
				t.Fatalf("log index %d at place %d", envelope.Index, len(events))
			}
			at := place{envelope.Stream, envelope.Seq}
			if seen[at] {
				t.Fatalf("event %d of stream %s is stored twice", envelope.Seq, envelope.Stream)
			}
			seen[at] = true
			events = append(events, event)
			stored[string(bytes.TrimSuffix(line, []byte("\n")))] = true
		}
	}
	found := all(t, l, eventlog.Query{Limit: 1000})
	for _, line := range found {
		if !stored[string(line)] {
			t.Fatalf("found what is not in the log: %s", line)
		}
	}
	if len(found) != len(events) {
		t.Fatalf("found %d of %d events", len(found), len(events))
	}
	return events
}

func TestStoredEventsAreFoundWithTheirExactBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 10)
	appendBatch(t, l, e.batch(lines...), 10)
	for i, event := range check(t, l, dir) {
		if !bytes.Equal(event, lines[i]) {
			t.Errorf("event %d:\n got %s\nwant %s", i, event, lines[i])
		}
	}
	_, envelope, err := eventlog.SplitLine(all(t, l, eventlog.Query{})[3])
	want := eventlog.Envelope{Index: 3, ReceivedAt: noon, Host: agent, Stream: e.stream, Seq: 3}
	if err != nil || envelope != want {
		t.Errorf("%+v, want %+v; %v", envelope, want, err)
	}
}

func TestEmittedEventIsStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	for range 2 {
		if err := l.Emit(t.Context(), &audit.RoleChange{UserMeta: audit.UserMeta{User: "alice"}, ResourceMeta: audit.ResourceMeta{Name: "dev"}}); err != nil {
			t.Fatal(err)
		}
	}
	if events := check(t, l, dir); len(events) != 2 {
		t.Errorf("%d events", len(events))
	}
	if err := l.Emit(t.Context(), &audit.DatabaseQuery{}); err == nil {
		t.Error("a statement was stored outside a session")
	}
}

func TestVeryLargeStatementIsKeptWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 1)
	lines = append(lines, e.line(t, &audit.DatabaseQuery{Query: bytes.Repeat([]byte("0123456789"), 1<<20)}))
	lines = append(lines, e.lines(t, 1)...)
	appendBatch(t, l, e.batch(lines...), 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	if events := check(t, l, dir); !bytes.Equal(events[1], lines[1]) {
		t.Error("the statement was changed")
	}
	page, err := l.Search(t.Context(), eventlog.Query{})
	if err != nil || len(page.Lines) != 1 || page.Next == "" {
		t.Errorf("%d events on the first page, %v; want the one before the large statement", len(page.Lines), err)
	}
	page, err = l.Search(t.Context(), eventlog.Query{Cursor: page.Next})
	if err != nil || len(page.Lines) != 1 {
		t.Errorf("%d events on the second page, %v; want the large statement alone", len(page.Lines), err)
	}
}

func TestFilesRotateAtMidnightUTC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := &clock{now: time.Date(2024, 3, 5, 23, 59, 59, 0, time.FixedZone("west", -3600))} // already the 6th in UTC
	cfg := config(dir)
	cfg.Now = now.Now
	l := open(t, cfg)
	e := newEmitter(t)
	for _, step := range []struct {
		now  time.Time
		file string
	}{
		{now.Now(), "2024-03-06.00:00:00.log"},
		{time.Date(2024, 3, 6, 23, 59, 59, 999e6, time.UTC), "2024-03-06.00:00:00.log"},
		{time.Date(2024, 3, 7, 0, 0, 0, 0, time.UTC), "2024-03-07.00:00:00.log"},
		{time.Date(2024, 3, 6, 23, 0, 0, 0, time.UTC), "2024-03-07.00:00:00.log"}, // the clock went back
		{time.Date(2024, 3, 9, 1, 0, 0, 0, time.UTC), "2024-03-09.00:00:00.log"},
	} {
		now.set(step.now)
		appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
		target, err := os.Readlink(filepath.Join(dir, "events.log"))
		if want := filepath.Join(authHost, step.file); err != nil || target != want {
			t.Errorf("at %s events.log names %s, want %s; %v", step.now, target, want, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, authHost, "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
	if events := check(t, l, dir); len(events) != 25 {
		t.Errorf("%d events", len(events))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg) // goes on in the newest file
	appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
	check(t, l, dir)
}

func TestOneProcessWritesAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, config(dir))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := eventlog.Open(ctx, config(dir)); err == nil {
		t.Fatal("opened twice")
	}
	second := make(chan *eventlog.Log)
	go func() {
		l, err := eventlog.Open(t.Context(), config(dir))
		if err != nil {
			t.Error(err)
		}
		second <- l
	}()
	e := newEmitter(t)
	appendBatch(t, first, e.batch(e.lines(t, 5)...), 5)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	l := <-second
	appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
	check(t, l, dir)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestASecondProcessIsToldOfTheFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, config(dir))
	var told bytes.Buffer
	second := config(dir)
	second.Patience, second.Log = 50*time.Millisecond, slog.New(slog.NewTextHandler(&told, nil))
	_, err := eventlog.Open(t.Context(), second)
	if want := "another process uses this data directory and did not end within 50ms; stop that process first, or give this one another teleport.data_dir"; !fault.Is(err, fault.AlreadyExists) || fault.Message(err) != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	if want := "another process uses this data directory; waiting for it to end"; strings.Count(told.String(), want) != 1 {
		t.Errorf("the log says %q, want once %q", told.String(), want)
	}
}

func TestFilesAreNotForOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l := open(t, config(dir))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 1)...), 1)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode()&os.ModeSymlink == 0 && info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzSplitLine checks that an event's bytes come back exactly, whatever text it has.
func FuzzSplitLine(f *testing.F) {
	f.Add("select 1")
	f.Add(`,"log_index":5,"log_received_at":"2024-03-05T12:00:00.000Z","log_host":"h","log_stream":"s","log_seq":1}`)
	f.Add("}\n{\x00\xff\\\"")
	dir := f.TempDir()
	l := open(f, config(dir))
	f.Fuzz(func(t *testing.T, text string) {
		e := newEmitter(t)
		lines := e.lines(t, 1)
		lines = append(lines, e.line(t, &audit.DatabaseQuery{Query: []byte(text), StatementName: text, Parameters: []audit.Parameter{{Value: []byte(text)}}}))
		if _, err := l.Append(context.Background(), e.batch(lines...)); err != nil {
			t.Fatal(err)
		}
		found := 0
		for line, err := range l.Session(context.Background(), e.chain.SID()) {
			if err != nil {
				t.Fatal(err)
			}
			event, envelope, err := eventlog.SplitLine(line)
			if err != nil || !bytes.Equal(event, lines[found]) || envelope.Stream != e.stream {
				t.Fatalf("%v\n got %s\nwant %s", err, event, lines[found])
			}
			found++
		}
		if found != 2 {
			t.Fatalf("%d events", found)
		}
		eventlog.SplitLine([]byte(text)) //nolint:errcheck // must only not panic
	})
}
