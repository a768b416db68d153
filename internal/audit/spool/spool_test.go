package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit/spool"
)

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

// own returns the queue of the spool's own process, with all that was appended so far to be delivered, if that can be synced.
func own(t testing.TB, s *spool.Spool) *spool.Queue {
	t.Helper()
	s.Sync(t.Context(), s.End()) //nolint:errcheck // some tests break the spool
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

// patience is how long a busy machine may take for what takes moments.
const patience = time.Minute

// eventually waits for something that Run does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
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

// TestDeliveredRecordsSurvive the loss of power: those behind the last sync wait, in whichever segment they are.
func TestDeliveredRecordsSurvive(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10}) // which nobody runs, or syncs
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // not what is tested
	queues, err := s.Pending()
	if err != nil {
		t.Fatal(err)
	}
	q := queues[0]
	for synced := range 4 {
		for n := range 50 {
			pos := appendRecord(t, s, record(n))
			if n == 30 {
				if err := s.Sync(t.Context(), pos); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := 50
		if synced == 0 {
			want = 31
		}
		if lines, damage := drain(t, q); len(lines) != want || len(damage) > 0 {
			t.Errorf("%d records, damage %v; %d are synced and not delivered yet", len(lines), damage, want)
		}
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
	return pending(t, s, 1)[0]
}

// pending waits until the spool has adopted the queues of so many dead processes, and returns them. Their locks may live on for
// a moment in a program that another test is just starting.
func pending(t testing.TB, s *spool.Spool, dead int) (queues []*spool.Queue) {
	t.Helper()
	eventually(t, "the adoption", func() (all bool) {
		var err error
		if queues, err = s.Pending(); err != nil {
			t.Fatal(err)
		}
		return len(queues) == 1+dead
	})
	return queues[1:]
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

func TestTwoSpoolsDoNotAdoptTheSameDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := open(t, spool.Config{Dir: dir})
	appendRecord(t, dead, record(1))
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	adopted(t, open(t, spool.Config{Dir: dir}))
	if queues, err := open(t, spool.Config{Dir: dir}).Pending(); err != nil || len(queues) != 1 {
		t.Errorf("%d queues, of which one is adopted already, %v", len(queues), err)
	}
}
