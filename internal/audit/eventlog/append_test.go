package eventlog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/fault"
)

func TestRepeatedBatchIsStoredOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 10)
	batch := func(from, to int) eventlog.Batch {
		return eventlog.Batch{Host: e.host, Stream: e.stream, FirstSeq: uint64(from), Lines: lines[from:to]}
	}
	appendBatch(t, l, batch(0, 4), 4)
	appendBatch(t, l, batch(0, 4), 0)
	appendBatch(t, l, batch(1, 3), 0)
	appendBatch(t, l, batch(2, 6), 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	appendBatch(t, l, batch(0, 6), 0)
	appendBatch(t, l, batch(0, 10), 4)
	if events := check(t, l, dir); len(events) != 10 {
		t.Errorf("%d events", len(events))
	}
}

func TestHoleInAStreamIsRefusedUnlessItIsOwnedUpTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 10)
	appendBatch(t, l, e.batch(lines[:3]...), 3)
	late := eventlog.Batch{Host: e.host, Stream: e.stream, FirstSeq: 5, Lines: lines[5:]}
	if _, err := l.Append(t.Context(), late); !fault.Is(err, fault.CompareFailed) {
		t.Fatalf("%v, want a refusal", err)
	}
	late.Lost = 1
	if _, err := l.Append(t.Context(), late); !fault.Is(err, fault.CompareFailed) {
		t.Fatalf("%v, want a refusal: two are missing", err)
	}
	late.Lost = 2
	appendBatch(t, l, late, 5)
	appendBatch(t, l, late, 0)
	if events := check(t, l, dir); len(events) != 8 {
		t.Errorf("%d events", len(events))
	}
}

func TestWhatIsNoEventIsRefusedWithItsBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	for name, line := range map[string][]byte{
		"nothing":           nil,
		"not JSON":          []byte("{"),
		"two lines":         append(append(e.lines(t, 1)[0], '\n'), e.lines(t, 1)[0]...),
		"a forged envelope": append(bytes.TrimSuffix(e.lines(t, 1)[0], []byte("}")), `,"log_index":0}`...),
	} {
		batch := eventlog.Batch{Host: e.host, Stream: e.stream, Lines: [][]byte{e.lines(t, 1)[0], line}}
		if _, err := l.Append(t.Context(), batch); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	for _, batch := range []eventlog.Batch{{Host: "h", Stream: e.stream}, {Host: e.host, Stream: "s"}, {Host: e.host, Stream: `{` + e.stream + `}`}} {
		if _, err := l.Append(t.Context(), batch); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%+v: %v, want a refusal", batch, err)
		}
	}
	if events := check(t, l, dir); len(events) != 0 {
		t.Errorf("%d events", len(events))
	}
}

func TestEventOfASessionCannotBeReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 5)
	appendBatch(t, l, e.batch(lines...), 5)
	forged := bytes.Replace(lines[3], []byte("select 3"), []byte("select 4"), 1)
	refused := func(batch eventlog.Batch) {
		t.Helper()
		if _, err := l.Append(t.Context(), batch); !fault.Is(err, fault.CompareFailed) {
			t.Errorf("%v, want a refusal", err)
		}
	}
	next := e.lines(t, 1)
	refused(eventlog.Batch{Host: agent, Stream: uuid.NewString(), Lines: [][]byte{forged}})
	refused(eventlog.Batch{Host: agent, Stream: e.stream, FirstSeq: 5, Lines: [][]byte{next[0], forged}})
	refused(eventlog.Batch{Host: agent, Stream: e.stream, FirstSeq: 5, Lines: [][]byte{next[0], next[0]}})
	appendBatch(t, l, e.batch(next...), 1) // what was refused left nothing behind
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	refused(eventlog.Batch{Host: agent, Stream: uuid.NewString(), Lines: [][]byte{forged}})
	refused(eventlog.Batch{Host: authHost, Stream: uuid.NewString(), Lines: [][]byte{forged}})
	if events := check(t, l, dir); len(events) != 6 {
		t.Errorf("%d events", len(events))
	}
}

func TestASessionBelongsToTheHostThatBeganIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 3)...), 3)
	next := e.lines(t, 1)
	disconnect, err := audit.NewEncoder("c", audit.NewUIDs(rand.Reader)).Append(nil, &audit.ClientDisconnect{SessionMeta: audit.SessionMeta{SID: e.chain.SID()}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		for name, line := range map[string][]byte{"a statement": next[0], "an event that names it": disconnect} {
			_, err := l.Append(t.Context(), eventlog.Batch{Host: "33333333-3333-4333-8333-333333333333", Stream: uuid.NewString(), Lines: [][]byte{line}})
			if !fault.Is(err, fault.AccessDenied) {
				t.Errorf("%s: %v, want a refusal", name, err)
			}
		}
	}
	refused()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	refused()
	appendBatch(t, l, e.batch(next[0], disconnect), 2)
}

func TestWhatIsNotAcceptedIsRefusedWithItsBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	batch := e.batch(e.lines(t, 3)...)
	batch.Accept = func(f *audit.Fields) error {
		if f.Index == 2 {
			return fault.New(fault.AccessDenied, "no")
		}
		return nil
	}
	if _, err := l.Append(t.Context(), batch); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("%v, want a refusal", err)
	}
	if events := check(t, l, dir); len(events) != 0 {
		t.Errorf("%d events", len(events))
	}
}

func TestEndOfALostSessionMayArriveBeforeItsStatements(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	lines := e.lines(t, 4)
	end := e.line(t, &audit.DatabaseSessionEnd{Reason: audit.ReasonLost})
	appendBatch(t, l, eventlog.Batch{Host: agent, Stream: uuid.NewString(), Lines: [][]byte{end}}, 1)
	appendBatch(t, l, e.batch(lines...), 4)
	var got [][]byte
	for line, err := range l.Session(t.Context(), e.chain.SID()) {
		if err != nil {
			t.Fatal(err)
		}
		event, _, err := eventlog.SplitLine(line)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event)
	}
	if err := audittest.Verify(got); err != nil {
		t.Error(err)
	}
}

func TestConcurrentRetriesAreStoredOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	ctx, cancel := context.WithCancel(t.Context())
	var background, senders sync.WaitGroup
	background.Go(func() { l.Run(ctx) }) //nolint:errcheck // always nil
	const streams, events = 4, 300
	for range streams {
		e := newEmitter(t)
		lines := e.lines(t, events)
		for range 3 { // three senders deliver the same stream
			random := mathrand.New(mathrand.NewPCG(mathrand.Uint64(), 1))
			senders.Go(func() {
				for at := 0; at < events; {
					from := max(0, at-random.IntN(20))
					to := min(events, at+1+random.IntN(30))
					_, err := l.Append(ctx, eventlog.Batch{Host: e.host, Stream: e.stream, FirstSeq: uint64(from), Lines: lines[from:to]})
					if err != nil {
						t.Error(err)
						return
					}
					at = to
				}
			})
		}
	}
	senders.Wait()
	cancel()
	background.Wait()
	if stored := check(t, l, dir); len(stored) != streams*events {
		t.Errorf("%d events, want %d", len(stored), streams*events)
	}
}

// disk makes line files that fail or wait on demand.
type disk struct {
	mu     sync.Mutex
	sync   error
	write  error
	before func()
	syncs  atomic.Int64
}

type diskFile struct {
	eventlog.LineFile
	disk *disk
}

func (d *disk) open(path string) (eventlog.LineFile, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	return &diskFile{file, d}, err
}

func (d *disk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.sync = write, sync
}

func (f *diskFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.write != nil {
		n, err := f.LineFile.Write(p[:len(p)/2])
		return n, errors.Join(err, f.disk.write)
	}
	return f.LineFile.Write(p)
}

func (f *diskFile) Sync() error {
	f.disk.syncs.Add(1)
	if f.disk.before != nil {
		f.disk.before()
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.sync != nil {
		return f.disk.sync
	}
	return f.LineFile.Sync()
}

func TestFailureOfTheDiskStoresNothingAndCanBeRetried(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct{ write, sync error }{
		"half a write": {write: syscall.ENOSPC},
		"the sync":     {sync: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := &disk{}
			cfg := config(dir)
			cfg.OpenFile = d.open
			l := open(t, cfg)
			e := newEmitter(t)
			appendBatch(t, l, e.batch(e.lines(t, 3)...), 3)
			batch := e.batch(e.lines(t, 3)...)
			d.fail(fail.write, fail.sync)
			for range 3 {
				if _, err := l.Append(t.Context(), batch); !fault.Is(err, fault.ConnectionProblem) {
					t.Fatalf("%v, want a refusal", err)
				}
				if err := l.Emit(t.Context(), &audit.RoleChange{}); !fault.Is(err, fault.ConnectionProblem) {
					t.Fatalf("%v, want a refusal", err)
				}
			}
			if events := all(t, l, eventlog.Query{}); len(events) != 3 {
				t.Errorf("%d events are found", len(events))
			}
			d.fail(nil, nil)
			appendBatch(t, l, batch, 3)
			appendBatch(t, l, batch, 0)
			if err := l.Emit(t.Context(), &audit.RoleChange{}); err != nil {
				t.Error(err)
			}
			if events := check(t, l, dir); len(events) != 7 {
				t.Errorf("%d events", len(events))
			}
		})
	}
}

func TestAfterASyncErrorLinesGoToANewFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := &disk{}
	cfg := config(dir)
	cfg.OpenFile = d.open
	l := open(t, cfg)
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 3)...), 3)
	d.fail(nil, syscall.EIO)
	batch := e.batch(e.lines(t, 3)...)
	if _, err := l.Append(t.Context(), batch); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.fail(nil, nil)
	appendBatch(t, l, batch, 3)
	target, err := os.Readlink(filepath.Join(dir, "events.log"))
	if err != nil || filepath.Base(target) != "2024-03-05.12:00:00.log" {
		t.Errorf("events.log names %s, %v", target, err)
	}
	check(t, l, dir)
}

func TestDeletedDirectoryFailsClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 3)...), 3)
	if err := os.RemoveAll(filepath.Join(dir, authHost)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Emit(t.Context(), &audit.RoleChange{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v, want that the file does not exist", err)
		}
	}
}

func TestClosingEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := &disk{}
	syncing, release := make(chan struct{}), make(chan struct{})
	d.before = func() {
		if d.syncs.Load() == 1 { // that of the event
			close(syncing)
			<-release
		}
	}
	c := config(dir)
	c.OpenFile = d.open
	l := open(t, c)
	login := &audit.UserLogin{UserMeta: audit.UserMeta{User: "bea"}}
	emitted := make(chan error, 1)
	go func() { emitted <- l.Emit(context.Background(), login) }()
	<-syncing
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-emitted; err == nil {
		t.Error("an event was stored in a log that is closed")
	}
	if err := l.Emit(t.Context(), login); err == nil {
		t.Error("a log that is closed stores events")
	}
}

func TestEventsOnTheirWayToTheDiskAreFoundOnceTheyAreThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := &disk{}
	syncing, release := make(chan struct{}), make(chan struct{})
	d.before = func() { syncing <- struct{}{}; <-release }
	cfg := config(dir)
	cfg.OpenFile = d.open
	l := open(t, cfg)
	emitted := make(chan error)
	for n := range 4 {
		go func() { emitted <- l.Emit(context.Background(), &audit.RoleChange{}) }()
		<-syncing
		if found := len(all(t, l, eventlog.Query{})); found != n {
			t.Errorf("%d events are found before the last one is durable, want %d", found, n)
		}
		release <- struct{}{}
		if err := <-emitted; err != nil {
			t.Fatal(err)
		}
	}
	go func() { <-syncing; release <- struct{}{} }() // that of closing
	if found := len(all(t, l, eventlog.Query{})); found != 4 {
		t.Errorf("%d events are found, want 4", found)
	}
}

func TestConcurrentAppendsShareTheDisksWork(t *testing.T) {
	t.Parallel()
	const callers = 50
	d := &disk{}
	entered, release := make(chan struct{}), make(chan struct{})
	d.before = sync.OnceFunc(func() { close(entered); <-release })
	cfg := config(t.TempDir())
	cfg.OpenFile = d.open
	l := open(t, cfg)
	var wait sync.WaitGroup
	emit := func() {
		if err := l.Emit(context.Background(), &audit.RoleChange{}); err != nil {
			t.Error(err)
		}
	}
	wait.Go(emit)
	<-entered
	var stored sync.WaitGroup
	for range callers {
		stored.Add(1)
		wait.Go(func() { stored.Done(); emit() })
	}
	stored.Wait()
	close(release)
	wait.Wait()
	if syncs := d.syncs.Load(); syncs > callers/2 {
		t.Errorf("%d syncs for %d callers", syncs, callers+1)
	}
}

func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := &disk{}
	entered, release := make(chan struct{}), make(chan struct{})
	d.before = sync.OnceFunc(func() { close(entered); <-release })
	cfg := config(t.TempDir())
	cfg.OpenFile = d.open
	l := open(t, cfg)
	var wait sync.WaitGroup
	wait.Go(func() { l.Emit(context.Background(), &audit.RoleChange{}) }) //nolint:errcheck // the other one is tested
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Emit(ctx, &audit.RoleChange{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context has ended", err)
	}
	close(release)
	wait.Wait()
}
