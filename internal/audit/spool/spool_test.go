package spool_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/audit/spool"
	"sallyport/internal/fault"
)

// writerEnv makes the test binary a process that writes a spool until it is killed.
const writerEnv = "SPOOL_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

// write appends numbered records for ever and says so after each.
func write(dir string) {
	s, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		if _, err := s.Append(record(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if _, err := fmt.Println(n); err != nil {
			os.Exit(1)
		}
	}
}

// record returns the n-th record, whose length varies.
func record(n int) []byte {
	return append(bytes.Repeat([]byte{byte('a' + n%26)}, n*37%700), fmt.Sprintf("record %d", n)...)
}

// open opens a spool and runs it until the test ends.
func open(t testing.TB, config spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { s.Run(ctx) }) //nolint:errcheck // always nil
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		s.Close() //nolint:errcheck // some tests break the spool
	})
	return s
}

func appendRecord(t testing.TB, s *spool.Spool, line []byte) spool.Pos {
	t.Helper()
	pos, err := s.Append(line)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// own returns the queue of the spool's own process.
func own(t testing.TB, s *spool.Spool) *spool.Queue {
	t.Helper()
	queues, err := s.Pending()
	if err != nil {
		t.Fatal(err)
	}
	return queues[0]
}

// drain reads and acknowledges everything in a queue.
func drain(t testing.TB, q *spool.Queue) (lines [][]byte, damage []spool.Damage) {
	t.Helper()
	for next, first := uint64(0), true; ; first = false {
		batch, err := q.ReadBatch(100, 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		damage = append(damage, batch.Damage...)
		if err := q.Ack(batch.Cursor); err != nil {
			t.Fatal(err)
		}
		if len(batch.Lines) == 0 {
			return lines, damage
		}
		if !first && batch.FirstSeq-batch.Lost != next {
			t.Fatalf("a batch begins at %d, %d before it are lost, expected %d", batch.FirstSeq, batch.Lost, next)
		}
		next = batch.FirstSeq + uint64(len(batch.Lines))
		for _, line := range batch.Lines {
			lines = append(lines, bytes.Clone(line))
		}
	}
}

// eventually waits for something that Run does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10})
	const count = 500
	for n := range count {
		if pos := appendRecord(t, s, record(n)); pos != spool.Pos(n+1) {
			t.Fatalf("record %d ends at %d", n, pos)
		}
	}
	lines, damage := drain(t, own(t, s))
	if len(damage) > 0 || len(lines) != count {
		t.Fatalf("%d records, damage %v", len(lines), damage)
	}
	for n, line := range lines {
		if !bytes.Equal(line, record(n)) {
			t.Fatalf("record %d is %q", n, line)
		}
	}
}

func TestRecordLargerThanASegmentIsKeptWhole(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10})
	large := bytes.Repeat([]byte("x"), 1<<20)
	for _, line := range [][]byte{record(1), large, record(2)} {
		appendRecord(t, s, line)
	}
	lines, _ := drain(t, own(t, s))
	if len(lines) != 3 || !bytes.Equal(lines[1], large) || !bytes.Equal(lines[2], record(2)) {
		t.Errorf("%d records", len(lines))
	}
}

func TestAcknowledgedSegmentsAreDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentSize: 8 << 10})
	for n := range 200 {
		appendRecord(t, s, record(n))
	}
	drain(t, own(t, s))
	eventually(t, "the deletion of what was acknowledged", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, s.Stream(), "*.seg"))
		return err == nil && len(left) <= 2 // the current one and the next
	})
}

func TestRewindDeliversAgainWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10})
	for n := range 100 {
		appendRecord(t, s, record(n))
	}
	q := own(t, s)
	first, err := q.ReadBatch(10, 1<<20)
	if err != nil || len(first.Lines) != 10 {
		t.Fatal(len(first.Lines), err)
	}
	if err := q.Ack(first.Cursor); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		batch, err := q.ReadBatch(20, 1<<20)
		if err != nil || batch.FirstSeq != 10 {
			t.Fatal(batch.FirstSeq, err)
		}
		for {
			more, err := q.ReadBatch(20, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(more.Lines) == 0 {
				break
			}
		}
		if err := q.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNextProcessGoesOnWhereTheLastWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, spool.Config{Dir: dir, SegmentSize: 8 << 10})
	for n := range 100 {
		appendRecord(t, first, record(n))
	}
	batch, err := own(t, first).ReadBatch(30, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := own(t, first).Ack(batch.Cursor); err != nil {
		t.Fatal(err)
	}
	read := uint64(len(batch.Lines))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, spool.Config{Dir: dir})
	q := adopted(t, second)
	if q.Stream() != first.Stream() {
		t.Errorf("adopted %s", q.Stream())
	}
	batch, err = q.ReadBatch(1000, 1<<20)
	if err != nil || batch.FirstSeq != read || !bytes.Equal(batch.Lines[0], record(int(read))) {
		t.Errorf("begins at %d, %v", batch.FirstSeq, err)
	}
}

// adopted returns the one queue of a dead process.
func adopted(t testing.TB, s *spool.Spool) *spool.Queue {
	t.Helper()
	queues, err := s.Pending()
	if err != nil || len(queues) != 2 {
		t.Fatalf("%d queues, %v", len(queues), err)
	}
	return queues[1]
}

func TestDeliveredDirectoryOfADeadProcessIsDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, spool.Config{Dir: dir})
	appendRecord(t, first, record(1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, spool.Config{Dir: dir})
	drain(t, adopted(t, second))
	adopted(t, second) // stays until its sessions are closed
	if err := second.Recover(t.Context(), func(spool.OpenSession) error { return errors.New("there is none") }); err != nil {
		t.Fatal(err)
	}
	if queues, err := second.Pending(); err != nil || len(queues) != 1 {
		t.Errorf("%d queues, %v", len(queues), err)
	}
	if _, err := os.Stat(filepath.Join(dir, first.Stream())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestKilledProcessLosesNoRecord(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		dir := t.TempDir()
		last := writeAndKill(t, dir, 50+rand.IntN(2000))
		s, err := spool.Open(spool.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		lines, damage := drain(t, adopted(t, s))
		if len(lines) <= last {
			t.Errorf("round %d: %d records of at least %d, damage %v", round, len(lines), last+1, damage)
		}
		for n, line := range lines {
			if !bytes.Equal(line, record(n)) {
				t.Fatalf("round %d: record %d is %q", round, n, line)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeAndKill has another process write at least count records and kills it without warning. It returns
// the number of the last record that the process said is stored.
func writeAndKill(t *testing.T, dir string, count int) (last int) {
	t.Helper()
	cmd, out := startWriter(t, dir)
	last = -1
	for out.Scan() {
		n, err := strconv.Atoi(out.Text())
		if err != nil {
			break // cut short by the kill
		}
		if last = n; n == count {
			cmd.Process.Kill() //nolint:errcheck // it runs
		}
	}
	cmd.Wait() //nolint:errcheck // it was killed
	if last < count {
		t.Fatalf("the writer ended after record %d", last)
	}
	return last
}

func startWriter(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // usually over
	return cmd, bufio.NewScanner(out)
}

func TestLiveProcessIsNotAdopted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, out := startWriter(t, dir)
	if !out.Scan() {
		t.Fatal("the writer did not start")
	}
	s := open(t, spool.Config{Dir: dir})
	if queues, err := s.Pending(); err != nil || len(queues) != 1 {
		t.Fatalf("%d queues while the other process lives, %v", len(queues), err)
	}
	cmd.Process.Kill() //nolint:errcheck // it runs
	for out.Scan() {
	}
	cmd.Wait() //nolint:errcheck // it was killed
	if lines, _ := drain(t, adopted(t, s)); len(lines) == 0 {
		t.Error("nothing of the dead process was found")
	}
}

func TestTwoSpoolsDoNotAdoptTheSameDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := open(t, spool.Config{Dir: dir})
	appendRecord(t, dead, record(1))
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for range 2 {
		queues, err := open(t, spool.Config{Dir: dir}).Pending()
		if err != nil {
			t.Fatal(err)
		}
		total += len(queues) - 1
	}
	if total != 1 {
		t.Errorf("adopted %d times", total)
	}
}

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

func TestFullDiskRefusesUntilThereIsSpaceAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mounting a small file system, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, spool.Config{Dir: filepath.Join(dir, "spool"), SegmentSize: 32 << 10, SyncDelay: time.Millisecond})
	stored := fill(t, s, syscall.ENOSPC)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	appendRecord(t, s, record(stored))
	lines, damage := drain(t, own(t, s))
	if len(lines) != stored+1 || len(damage) > 0 {
		t.Errorf("%d records, want %d; damage %v", len(lines), stored+1, damage)
	}
}

func TestDeletedDirectoryFailsClosedUntilItIsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, SyncDelay: time.Millisecond})
	if err := s.Sync(t.Context(), appendRecord(t, s, record(0))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, s.Stream())); err != nil {
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

func BenchmarkAppend500(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), Limit: 1 << 40})
	line := make([]byte, 500)
	q := own(b, s)
	b.SetBytes(500)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := s.Append(line); err != nil {
			b.Fatal(err)
		}
		if n++; n%500_000 == 0 { // keep the disk from filling
			b.StopTimer()
			drain(b, q)
			b.StartTimer()
		}
	}
}

func BenchmarkAppendSyncParallel(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), Limit: 1 << 40})
	line := make([]byte, 500)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pos, err := s.Append(line)
			if err == nil {
				err = s.Sync(context.Background(), pos)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
