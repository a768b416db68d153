package spool_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/audit/spool"
	"sallyport/internal/fault"
)

// faulty wraps segments so that their sync waits or fails.
type faulty struct {
	mu     sync.Mutex
	err    error
	syncs  atomic.Int64
	before func()
}

func (f *faulty) create(path string, size int64) (spool.File, error) {
	file, err := spool.CreateFile(path, size)
	return &faultyFile{file, f}, err
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

type faultyFile struct {
	spool.File
	faulty *faulty
}

func (f *faultyFile) Sync() error {
	f.faulty.syncs.Add(1)
	if f.faulty.before != nil {
		f.faulty.before()
	}
	f.faulty.mu.Lock()
	defer f.faulty.mu.Unlock()
	if f.faulty.err != nil {
		return f.faulty.err
	}
	return f.File.Sync()
}

func TestConcurrentSyncsShareTheDisksWork(t *testing.T) {
	t.Parallel()
	const callers = 100
	var appended, entered sync.WaitGroup
	appended.Add(callers)
	entered.Add(1)
	var once sync.Once
	disk := &faulty{}
	disk.before = func() { // the first sync lasts until everybody has appended
		once.Do(func() {
			entered.Done()
			appended.Wait()
		})
	}
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), Create: disk.create})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // not what is tested
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := s.Sync(t.Context(), appendRecord(t, s, record(0))); err != nil {
			t.Error(err)
		}
	})
	entered.Wait()
	for n := range callers {
		wait.Go(func() {
			pos, err := s.Append(record(n))
			appended.Done()
			if err == nil {
				err = s.Sync(t.Context(), pos)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := disk.syncs.Load(); got != 2 {
		t.Errorf("%d syncs for %d callers, want 2", got, callers+1)
	}
}

func TestSyncEndsWithItsContext(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	disk := &faulty{before: sync.OnceFunc(func() { close(entered); <-release })}
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), Create: disk.create})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // not what is tested
	pos := appendRecord(t, s, record(0))
	var wait sync.WaitGroup
	wait.Go(func() { s.Sync(context.Background(), pos) }) //nolint:errcheck // the other one is tested
	<-entered
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the session is over")
	cancel(gone)
	if err := s.Sync(ctx, pos); !errors.Is(err, gone) {
		t.Errorf("%v, want %v", err, gone)
	}
	close(release)
	wait.Wait()
}

func TestRecordIsSyncedThoughNobodyAsks(t *testing.T) {
	t.Parallel()
	disk := &faulty{}
	s := open(t, spool.Config{Dir: t.TempDir(), SyncDelay: time.Millisecond, Create: disk.create})
	appendRecord(t, s, record(0))
	eventually(t, "a sync", func() bool { return disk.syncs.Load() > 0 })
	if err := own(t, s).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAfterASyncErrorNothingIsCalledDurable(t *testing.T) {
	t.Parallel()
	disk := &faulty{}
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SyncDelay: time.Millisecond, Create: disk.create})
	durable := appendRecord(t, s, record(0))
	if err := s.Sync(t.Context(), durable); err != nil {
		t.Fatal(err)
	}
	disk.fail(syscall.EIO)
	lost := appendRecord(t, s, record(1))
	if err := s.Sync(t.Context(), lost); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v, want EIO", err)
	}
	if _, err := s.Append(record(2)); !errors.Is(err, syscall.EIO) || s.Err() == nil {
		t.Fatalf("%v, want EIO until a sync succeeds", err)
	}
	disk.fail(nil)
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	later := appendRecord(t, s, record(2))
	if err := s.Sync(t.Context(), later); err != nil {
		t.Error(err)
	}
	if err := s.Sync(t.Context(), durable); err != nil {
		t.Errorf("what was durable before: %v", err)
	}
	if err := s.Sync(t.Context(), lost); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v: a record on a segment that failed is called durable", err)
	}
	lines, damage := drain(t, own(t, s))
	if len(lines) != 3 || len(damage) > 0 {
		t.Errorf("%d records, damage %v", len(lines), damage)
	}
}

// unwritable is a segment that cannot be written once it has a record.
type unwritable struct {
	spool.File
	records int
}

func (f *unwritable) Put(offset int64, sum uint32, line []byte) error {
	if f.records++; f.records == 2 {
		return errors.New("the disk has failed")
	}
	return f.File.Put(offset, sum, line)
}

// TestWhatAFailedDiskHasIsDelivered at once, as nothing will sync it.
func TestWhatAFailedDiskHasIsDelivered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.Open(spool.Config{Dir: dir, Create: func(path string, size int64) (spool.File, error) {
			file, err := spool.CreateFile(path, size)
			return &unwritable{File: file}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // not what is tested
		queues, err := s.Pending()
		if err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { waiting <- queues[0].Wait(ctx) }()
		synctest.Wait()
		appendRecord(t, s, record(0))
		if _, err := s.Append(record(1)); err == nil {
			t.Fatal("the disk has not failed")
		}
		if err := <-waiting; err != nil {
			t.Errorf("waiting for what can be delivered: %v", err)
		}
		if batch, err := queues[0].ReadBatch(10, 1<<20); err != nil || len(batch.Lines) != 1 {
			t.Errorf("%d records, %v", len(batch.Lines), err)
		}
	})
}

func TestFullSpoolRefusesUntilSomethingIsDelivered(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: 24 << 10, SyncDelay: time.Millisecond})
	fill(t, s, spool.ErrFull)
	if fault.KindOf(spool.ErrFull) != fault.LimitExceeded {
		t.Error("not a limit")
	}
	drain(t, own(t, s))
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	appendRecord(t, s, record(1))
}

func TestRecordTooLargeForWhatIsLeftDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: 24 << 10})
	if _, err := s.Append(make([]byte, 1<<20)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("%v, want %v", err, spool.ErrFull)
	}
	appendRecord(t, s, record(1))
}

// fill appends until an error, which must be want.
func fill(t testing.TB, s *spool.Spool, want error) (stored int) {
	t.Helper()
	for {
		_, err := s.Append(record(stored))
		if err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
			return stored
		}
		stored++
	}
}

func TestDeletedDirectoryFailsClosedUntilItIsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SyncDelay: time.Millisecond})
	if err := s.Sync(t.Context(), appendRecord(t, s, record(0))); err != nil {
		t.Fatal(err)
	}
	// In one step: into a directory whose files go one after the other, a new one would come meanwhile.
	if err := os.Rename(filepath.Join(dir, s.Stream()), filepath.Join(t.TempDir(), "gone")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal", func() bool { _, err := s.Append(record(1)); return errors.Is(err, fs.ErrNotExist) })
	if !strings.Contains(fault.Message(s.Err()), "audit directory is gone") {
		t.Errorf("%v", s.Err())
	}
	if err := os.Mkdir(filepath.Join(dir, s.Stream()), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	pos := appendRecord(t, s, record(1))
	batch, err := own(t, s).ReadBatch(100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Lines) != 1 || batch.FirstSeq != uint64(pos)-1 || batch.Lost != batch.FirstSeq || len(batch.Damage) != 1 || batch.Damage[0].Lost != batch.Lost {
		t.Errorf("%d records from %d, %d lost: what was deleted must be owned up to", len(batch.Lines), batch.FirstSeq, batch.Lost)
	}
}

func TestStartIsNotDurableInADeletedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := spool.Open(spool.Config{Dir: dir}) // without Run: Sync itself must notice
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // not what is tested
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context(), appendRecord(t, s, record(0))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that the file does not exist", err)
	}
}

// leaveFull leaves the full spool of a dead process.
func leaveFull(t *testing.T, config spool.Config) {
	t.Helper()
	s, err := spool.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, spool.ErrFull)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullSpoolOfADeadProcessIsDeliveredByTheNext(t *testing.T) {
	t.Parallel()
	config := spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: 24 << 10, SyncDelay: time.Millisecond}
	leaveFull(t, config)
	s := open(t, config)
	if _, err := s.Append(record(1)); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("%v, want %v", err, spool.ErrFull)
	}
	if lines, damage := drain(t, adopted(t, s)); len(lines) == 0 || len(damage) > 0 {
		t.Errorf("%d records, damage %v", len(lines), damage)
	}
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	appendRecord(t, s, record(1))
	if lines, damage := drain(t, own(t, s)); len(lines) != 1 || len(damage) > 0 {
		t.Errorf("%d records, damage %v", len(lines), damage)
	}
}

func TestFullSpoolThatNeverHadASegmentCloses(t *testing.T) {
	t.Parallel()
	config := spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: 24 << 10}
	leaveFull(t, config)
	s, err := spool.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestFullSpoolStillSyncsWhatItHas(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: 24 << 10, SyncDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, spool.ErrFull)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	var wait sync.WaitGroup
	wait.Go(func() { s.Run(ctx) }) //nolint:errcheck // always nil
	if err := own(t, s).Wait(ctx); err != nil {
		t.Errorf("%v: what is not synced is not delivered, and makes no space", err)
	}
	cancel()
	wait.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
