package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/audit/spool"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

// auditLog takes events as the audit log does: each stream without holes, and not again what it has.
type auditLog struct {
	mu     sync.Mutex
	next   map[string]uint64
	lines  []string
	refuse func(*sallyportv1.SubmitEventsRequest) error // may be nil
}

// keep makes the authority's log.
func (a *authority) keep() *auditLog {
	l := &auditLog{next: make(map[string]uint64)}
	a.submit = l.take
	return l
}

func (l *auditLog) take(req *sallyportv1.SubmitEventsRequest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		if err := l.refuse(req); err != nil {
			return err
		}
	}
	stream, first := req.GetStream(), req.GetFirstSequence()
	if first > l.next[stream]+req.GetLost() {
		return fault.New(fault.CompareFailed, "a hole")
	}
	for i, line := range req.GetEvents() {
		if sequence := first + uint64(i); sequence >= l.next[stream] {
			l.lines = append(l.lines, string(line))
			l.next[stream] = sequence + 1
		}
	}
	return nil
}

func (l *auditLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// with returns the events that hold all of the texts.
func (l *auditLog) with(texts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// visitAs leaves an event of a user in the agent's spool.
func (r *running) visitAs(t *testing.T, user string) {
	t.Helper()
	id := alice("orders")
	id.Name = user
	r.visit(t, "orders", id)
}

func TestEventsOfABusyAgentTravelInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		calls, recorded := 0, 0
		var failed error
		log.set(func() {
			log.refuse = func(*sallyportv1.SubmitEventsRequest) error {
				calls++
				time.Sleep(5 * time.Millisecond) // meanwhile more is recorded
				for range 20 {
					if _, err := r.Spool.Append(fmt.Appendf(nil, `{"n":%d}`, recorded)); err != nil {
						failed = err
					}
					recorded++
				}
				return nil
			}
		})
		r.visitAs(t, "first")
		time.Sleep(10 * time.Second)
		log.set(func() {
			log.refuse = nil
			if failed != nil {
				t.Fatal(failed)
			}
			if calls < 10 || calls > 120 {
				t.Errorf("%d calls in 10 seconds", calls)
			}
		})
		time.Sleep(time.Second)
		if n := len(log.with(`{"n":`)); n != recorded {
			t.Errorf("%d of %d events arrived", n, recorded)
		}
	})
}

func TestAuditLogThatWasSetBackGetsTheRestAndTheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		for i := range 7 {
			r.visitAs(t, fmt.Sprintf("before-%d", i))
		}
		time.Sleep(time.Second)
		if n := len(log.with(`"user":"before-`)); n != 7 {
			t.Fatalf("%d events arrived", n)
		}
		var lost uint64
		log.set(func() { // what a backup from before the last four events knows
			log.lines = log.lines[:len(log.lines)-4]
			for stream := range log.next {
				log.next[stream] -= 4
				lost = 4
			}
		})
		r.visitAs(t, "after")
		time.Sleep(time.Minute)
		if len(log.with(`"user":"after"`)) != 1 {
			t.Error("what came after does not arrive")
		}
		if torn := log.with("audit.spool.torn", fmt.Sprintf(`"lost":%d`, lost), "it was set back"); len(torn) != 1 {
			t.Errorf("the loss is told %d times: %s", len(torn), log.with("audit.spool.torn"))
		}
		r.visitAs(t, "later")
		time.Sleep(time.Minute)
		if len(log.with(`"user":"later"`)) != 1 || len(log.with("audit.spool.torn")) != 1 {
			t.Error("delivery does not go on as before")
		}
	})
}

func TestRecordThatTheLogRefusesIsSetAside(t *testing.T) {
	for name, refusal := range map[string]error{
		"malformed":   fault.New(fault.BadParameter, "the event is malformed"),
		"not allowed": fault.New(fault.AccessDenied, "the event is not this host's"),
		"taken":       fault.New(fault.CompareFailed, "its place is taken"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				log := a.keep()
				log.refuse = func(req *sallyportv1.SubmitEventsRequest) error {
					if bytes.Contains(bytes.Join(req.GetEvents(), nil), []byte(`"user":"poison"`)) {
						return refusal
					}
					return nil
				}
				r := a.start(t, nil, database(t, "orders", nil))
				time.Sleep(time.Second)
				for _, user := range []string{"one", "two", "poison", "three", "four", "five"} {
					r.visitAs(t, user)
				}
				time.Sleep(time.Minute)
				r.visitAs(t, "later")
				time.Sleep(time.Minute)
				for _, user := range []string{"one", "two", "three", "four", "five", "later"} {
					if n := len(log.with(`"user":"` + user + `"`)); n != 1 {
						t.Errorf("%d events of %s", n, user)
					}
				}
				if torn := log.with("audit.spool.torn", fault.Message(refusal)); len(torn) != 1 {
					t.Errorf("told %d times: %s", len(torn), torn)
				}
				files, err := filepath.Glob(filepath.Join(a.spool, "refused-*.json"))
				if err != nil || len(files) != 1 {
					t.Fatalf("%v, %v", files, err)
				}
				if kept, err := os.ReadFile(files[0]); err != nil || !bytes.Contains(kept, []byte(`"user":"poison"`)) {
					t.Errorf("kept %q, %v", kept, err)
				}
			})
		})
	}
}

func TestRefusedHostKeepsItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		log.set(func() {
			log.refuse = func(*sallyportv1.SubmitEventsRequest) error {
				return fault.New(fault.AccessDenied, "a lock is in force")
			}
		})
		r.visitAs(t, "kept")
		time.Sleep(time.Hour)
		log.set(func() { log.refuse = nil })
		time.Sleep(time.Minute)
		if len(log.with(`"user":"kept"`)) != 1 || len(log.with("audit.spool.torn")) != 0 {
			t.Errorf("arrived: %v", log.with())
		}
	})
}

// earlierEvent leaves one event of a dead process and returns the process's stream.
func earlierEvent(t *testing.T, dir string) (stream string) {
	t.Helper()
	earlier, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := earlier.Append([]byte(`{"ei":0,"event":"auth","user":"earlier"}`)); err != nil {
		t.Fatal(err)
	}
	if err := earlier.Close(); err != nil {
		t.Fatal(err)
	}
	return earlier.Stream()
}

func TestEarlierProcessesEventsArriveSoonAfterTheAuthServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		stream := earlierEvent(t, a.spool)
		log := a.keep()
		log.refuse = func(*sallyportv1.SubmitEventsRequest) error {
			return fault.New(fault.ConnectionProblem, "the auth server is away")
		}
		a.start(t, nil, database(t, "orders", nil))
		time.Sleep(2 * time.Second)
		log.set(func() { log.refuse = nil })
		time.Sleep(10 * time.Second)
		if len(log.with(`"user":"earlier"`)) != 1 {
			t.Error("the earlier process's event does not arrive")
		}
		if _, err := os.Stat(filepath.Join(a.spool, stream)); err == nil {
			t.Error("what was delivered still takes space")
		}
	})
}

func TestEarlierProcessesEventsDoNotHoldUpThisOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		stream := earlierEvent(t, a.spool)
		log := a.keep()
		log.refuse = func(req *sallyportv1.SubmitEventsRequest) error {
			if req.GetStream() == stream {
				return fault.New(fault.Internal, "trouble with that stream")
			}
			return nil
		}
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		r.visitAs(t, "own")
		time.Sleep(time.Minute)
		if len(log.with(`"user":"own"`)) != 1 {
			t.Error("this process's event does not arrive")
		}
		log.set(func() { log.refuse = nil })
		time.Sleep(time.Minute)
		if len(log.with(`"user":"earlier"`)) != 1 {
			t.Error("the earlier process's event does not arrive")
		}
	})
}

// earlierSpool leaves count records of a dead process, without its position and without the segments that were
// deleted after delivery. It returns its stream and how many records are left.
func earlierSpool(t *testing.T, dir string, count int) (stream string, left int) {
	t.Helper()
	earlier, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for n := range count {
		if _, err := earlier.Append(fmt.Appendf(nil, `{"ei":0,"event":"auth","user":"earlier-%04d"}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := earlier.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, earlier.Stream())
	if err := os.Remove(filepath.Join(path, "acked")); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(path, "*.seg"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	if err := os.Remove(segments[0]); err != nil {
		t.Fatal(err)
	}
	for _, segment := range segments[1:] {
		data, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		left += bytes.Count(data, []byte("earlier-"))
	}
	return earlier.Stream(), left
}

func TestLostPositionIsNoLossOfWhatTheLogHas(t *testing.T) {
	for name, has := range map[string]func(deleted, count uint64) uint64{
		"the log has what was deleted":      func(deleted, _ uint64) uint64 { return deleted },
		"the log has more than was deleted": func(deleted, _ uint64) uint64 { return deleted + 3 },
		"the log has all":                   func(_, count uint64) uint64 { return count },
		"the log has a part":                func(deleted, _ uint64) uint64 { return deleted - 5 },
		"the log has nothing":               func(uint64, uint64) uint64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const count = 200
				a := newAuthority(t)
				stream, left := earlierSpool(t, a.spool, count)
				deleted := uint64(count - left)
				delivered := has(deleted, count)
				log := a.keep()
				log.next[stream] = delivered
				log.refuse = func(*sallyportv1.SubmitEventsRequest) error {
					return fault.New(fault.ConnectionProblem, "the auth server is away")
				}
				a.start(t, nil, database(t, "orders", nil))
				time.Sleep(time.Minute)
				log.set(func() { log.refuse = nil })
				time.Sleep(time.Minute)
				if got, want := len(log.with(`"user":"earlier-`)), count-int(max(delivered, deleted)); got != want {
					t.Errorf("%d of the records arrived, want %d", got, want)
				}
				torn := log.with("audit.spool.torn")
				switch lost := deleted - min(deleted, delivered); {
				case lost == 0 && len(torn) != 0:
					t.Errorf("nothing is lost, and yet: %s", torn)
				case lost > 0 && (len(torn) != 1 || !strings.Contains(torn[0], fmt.Sprintf(`"lost":%d,`, lost))):
					t.Errorf("%d records are lost, told is: %s", lost, torn)
				}
				if _, err := os.Stat(filepath.Join(a.spool, stream)); err == nil {
					t.Error("the records are still in the spool")
				}
			})
		})
	}
}
