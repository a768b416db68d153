package session_test

import (
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
)

// TestWorking has a session be active while the database works, and no longer once it has been told that it does not, however often it
// is told so.
func TestWorking(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := began
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "postgres", listen(t), nil),
		Credentials: enginetest.AccountsOnly,
		Now:         func() time.Time { return now },
	})
	for i, step := range []struct {
		working bool
		last    int // minutes after the beginning
	}{{false, 0}, {true, 2}, {true, 3}, {false, 4}, {false, 4}, {true, 6}} {
		now = began.Add(time.Duration(i+1) * time.Minute)
		s.Working(step.working)
		if got := s.LastActivity().Sub(began); got != time.Duration(step.last)*time.Minute {
			t.Errorf("step %d: the last activity was after %s, want %d minutes", i+1, got, step.last)
		}
	}
}
