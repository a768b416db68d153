package session_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

func strictly(t *testing.T, mode string, dial func(*enginetest.Journal) (net.Conn, error)) (*session.Session, *enginetest.Journal) {
	t.Helper()
	var journal *enginetest.Journal
	var s *session.Session
	s, journal = enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "postgres", listen(t), nil),
		Credentials: enginetest.AccountsOnly,
		Dial:        func(context.Context, string, string) (net.Conn, error) { return dial(journal) },
		Options:     access.SessionOptions{RecordingMode: mode},
	})
	return s, journal
}

func TestTheStartIsDurableBeforeTheDatabaseIsDialled(t *testing.T) {
	t.Parallel()
	dialled := 0
	s, journal := strictly(t, resource.BestEffort, func(j *enginetest.Journal) (net.Conn, error) {
		dialled++
		if j.Synced() != 1 || len(j.Lines()) != 1 {
			t.Errorf("dialled with %d of %d events durable", j.Synced(), len(j.Lines()))
		}
		return nil, errors.New("nobody is there")
	})
	if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err == nil || dialled != 1 {
		t.Errorf("dialled %d times: %v", dialled, err)
	}
	if len(journal.Lines()) != 1 {
		t.Errorf("%d events", len(journal.Lines()))
	}
}

func TestAStartThatIsNotDurableOpensNothing(t *testing.T) {
	t.Parallel()
	s, journal := strictly(t, resource.BestEffort, func(*enginetest.Journal) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("nobody is there")
	})
	journal.FailSync(errors.New("the disk is gone"))
	_, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"})
	if err == nil || !strings.Contains(err.Error(), "audit is unavailable, so no session can start") {
		t.Errorf("got %v", err)
	}
}

func TestStrictSessionsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]int{resource.Strict: 2, resource.BestEffort: 1} {
		s, journal := strictly(t, mode, func(*enginetest.Journal) (net.Conn, error) {
			near, far := net.Pipe()
			t.Cleanup(func() { _ = far.Close() })
			return near, nil
		})
		if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err != nil {
			t.Fatal(err)
		}
		query := &audit.DatabaseQuery{Query: []byte("select 1")}
		if _, err := s.Record(t.Context(), query); err != nil || journal.Synced() != want {
			t.Errorf("%s: %d events are durable, want %d (%v)", mode, journal.Synced(), want, err)
		}
		journal.FailSync(errors.New("the disk is gone"))
		if _, err := s.Record(t.Context(), query); (err != nil) != (mode == resource.Strict) {
			t.Errorf("%s, with a broken disk: %v", mode, err)
		}
	}
}
