package spool_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/spool"
)

var noon = time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)

// visit is a database session whose events go into a spool and are kept for checking.
type visit struct {
	chain *audit.Chain
	lines [][]byte
}

func newVisit(t testing.TB, s *spool.Spool, statements int) *visit {
	t.Helper()
	chain, err := audit.NewChain(audit.ChainConfig{ClusterName: "c", UIDs: audit.NewUIDs(rand.Reader),
		User: audit.UserMeta{User: "bea"}, Session: audit.SessionMeta{SID: uuid.NewString()}})
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{chain: chain}
	v.record(t, s, &audit.DatabaseSessionStart{Status: audit.Status{Success: true}})
	v.statements(t, s, statements)
	return v
}

func (v *visit) record(t testing.TB, s *spool.Spool, event audit.SessionEvent) {
	t.Helper()
	line, err := v.chain.Append(nil, event, noon)
	if err != nil {
		t.Fatal(err)
	}
	appendRecord(t, s, line)
	v.lines = append(v.lines, line)
}

func (v *visit) statements(t testing.TB, s *spool.Spool, count int) {
	t.Helper()
	for range count {
		v.record(t, s, &audit.DatabaseQuery{Query: []byte(`select '"sid":"00000000-0000-4000-8000-000000000000"'`)})
	}
}

// endLost returns what an agent gives to Recover: it goes on with the chain and keeps the last line.
func endLost(t testing.TB, s *spool.Spool, ends map[string][]byte) func(spool.OpenSession) error {
	return func(open spool.OpenSession) error {
		config, began, err := audit.ResumeConfig(open.Start)
		if err != nil {
			return err
		}
		config.UIDs, config.Next, config.Prev = audit.NewUIDs(rand.Reader), open.Next, open.Prev
		chain, err := audit.NewChain(config)
		if err != nil {
			return err
		}
		line, err := chain.Append(nil, &audit.DatabaseSessionEnd{Start: began, Stop: noon, Reason: audit.ReasonLost}, noon)
		if err != nil {
			return err
		}
		if _, err := s.Append(line); err != nil {
			return err
		}
		if ends[open.SID] != nil {
			t.Errorf("session %s ended twice", open.SID)
		}
		ends[open.SID] = line
		return nil
	}
}

// dieWithSessions leaves a spool with an ended, a refused and two open sessions. Of the second the start
// is delivered and deleted.
func dieWithSessions(t testing.TB, dir string) (open []*visit) {
	t.Helper()
	s, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	early := newVisit(t, s, 1)
	idle := newVisit(t, s, 0)
	ended := newVisit(t, s, 50)
	drain(t, own(t, s))
	ended.record(t, s, &audit.DatabaseSessionEnd{Reason: "client closed the connection"})
	refused := newVisit(t, s, 0)
	refused.chain.Rewind()
	early.statements(t, s, 3)
	late := newVisit(t, s, 2)
	drain(t, own(t, s))
	// A refusal has no end to wait for.
	denied, err := audit.NewChain(audit.ChainConfig{ClusterName: "c", UIDs: audit.NewUIDs(rand.Reader), Session: audit.SessionMeta{SID: uuid.NewString()}})
	if err != nil {
		t.Fatal(err)
	}
	line, err := denied.Append(nil, &audit.DatabaseSessionStart{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	appendRecord(t, s, line)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return []*visit{early, idle, refused, late}
}

func TestRecoverReadsSegmentsOfAnySize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	first, second := newVisit(t, dead, 3), newVisit(t, dead, 1)
	// Small and large events in turn, so that wherever a piece of a segment ends, it cuts one off.
	for _, size := range []int{100, 90_000, 700_000, 31, 1_300_001, 250_000, 3, 400_000} {
		first.record(t, dead, &audit.DatabaseQuery{Query: make([]byte, size)})
		second.statements(t, dead, 40)
	}
	first.statements(t, dead, 1)
	second.statements(t, dead, 4000) // so that the last event of the first is not in memory at the end
	second.record(t, dead, &audit.DatabaseSessionEnd{Reason: "client closed the connection"})
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, spool.Config{Dir: dir})
	adopted(t, s)
	var lost []spool.OpenSession
	if err := s.Recover(t.Context(), func(o spool.OpenSession) error { lost = append(lost, o); return nil }); err != nil {
		t.Fatal(err)
	}
	last := first.lines[len(first.lines)-1]
	if len(lost) != 1 || lost[0].SID != first.chain.SID() || lost[0].Next != int64(len(first.lines)) || lost[0].Prev != audit.HashOf(last) {
		t.Errorf("lost sessions %+v, want one with %d events", lost, len(first.lines))
	}
}

func TestRecoverEndsEachLostSessionOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	visits := dieWithSessions(t, dir)
	s := open(t, spool.Config{Dir: dir})
	adopted(t, s)
	ends := make(map[string][]byte)
	full := errors.New("the spool is full")
	calls := 0
	err := s.Recover(t.Context(), func(open spool.OpenSession) error {
		if calls++; calls == 2 {
			return full
		}
		return endLost(t, s, ends)(open)
	})
	if !errors.Is(err, full) {
		t.Fatalf("%v, want %v", err, full)
	}
	for range 2 {
		if err := s.Recover(t.Context(), endLost(t, s, ends)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ends) != len(visits) {
		t.Errorf("%d sessions ended, want %d", len(ends), len(visits))
	}
	for i, v := range visits {
		if err := audittest.Verify(append(v.lines, ends[v.chain.SID()])); err != nil {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

func TestCrashDuringRecoveryEndsNoSessionTwice(t *testing.T) {
	t.Parallel()
	for name, deliveredFirst := range map[string]bool{"found on disk": false, "delivered and deleted before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashDuringRecovery(t, deliveredFirst)
		})
	}
}

// deliverWithoutRecovery delivers all that dead processes left while their sessions cannot be ended.
func deliverWithoutRecovery(t *testing.T, s *spool.Spool) {
	t.Helper()
	for range 2 { // the second time segments are deleted
		queues, err := s.Pending()
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("the spool is full")
		if err := s.Recover(t.Context(), func(spool.OpenSession) error { return full }); !errors.Is(err, full) {
			t.Fatalf("%v, want %v", err, full)
		}
		for _, q := range queues[1:] {
			drain(t, q)
		}
	}
}

func crashDuringRecovery(t *testing.T, deliveredFirst bool) {
	dir := t.TempDir()
	visits := dieWithSessions(t, dir)
	ends := make(map[string][]byte)
	first, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	adopted(t, first)
	crash := errors.New("crash")
	err = first.Recover(t.Context(), func(open spool.OpenSession) error {
		if err := endLost(t, first, ends)(open); err != nil {
			return err
		}
		if len(ends) == 2 {
			return crash
		}
		return nil
	})
	if !errors.Is(err, crash) {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, spool.Config{Dir: dir})
	pending(t, second, 2)
	if deliveredFirst {
		deliverWithoutRecovery(t, second)
	}
	if err := second.Recover(t.Context(), endLost(t, second, ends)); err != nil {
		t.Fatal(err)
	}
	if len(ends) != len(visits) {
		t.Errorf("%d sessions ended, want %d", len(ends), len(visits))
	}
}

// recoverAll does what the uploader does, until nothing is left of dead processes.
func recoverAll(t *testing.T, s *spool.Spool, ends map[string][]byte) {
	t.Helper()
	eventually(t, "all that dead processes left to be delivered", func() bool {
		queues, err := s.Pending()
		if err != nil {
			t.Fatal(err)
		}
		recovered := s.Recover(t.Context(), endLost(t, s, ends))
		for _, q := range queues[1:] {
			drain(t, q)
		}
		return recovered == nil && len(queues) == 1
	})
}

func TestManyDeadProcessesDoNotFillTheSpoolForGood(t *testing.T) {
	t.Parallel()
	const count = 3
	config := spool.Config{Dir: t.TempDir(), SegmentSize: 8 << 10, Limit: count * (8 << 10), SyncDelay: time.Millisecond}
	var visits []*visit
	for range count {
		dying, err := spool.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		visits = append(visits, newVisit(t, dying, 1))
		if err := dying.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, config)
	if _, err := s.Append(record(1)); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("%v, want that the spool is full", err)
	}
	pending(t, s, count)
	ends := make(map[string][]byte)
	recoverAll(t, s, ends)
	for i, v := range visits {
		if err := audittest.Verify(append(v.lines, ends[v.chain.SID()])); err != nil {
			t.Errorf("session %d: %v", i, err)
		}
	}
	appendRecord(t, s, record(1))
}
