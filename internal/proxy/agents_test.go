package proxy_test

import (
	"testing"
	"time"
)

const (
	one   = "11111111-1111-4111-8111-111111111111"
	other = "22222222-2222-4222-8222-222222222222"
)

// TestASilentAgentIsAskedLast stops one of two agents. Which of them is asked first is random, so that some clients are
// needed until it is the stopped one's turn; 50 are always enough.
func TestASilentAgentIsAskedLast(t *testing.T) {
	t.Parallel()
	const enough = 50
	f := start(t, one, other)
	stopped, well := f.agent(t, one), f.agent(t, other)
	close(well.stopped)
	untilAsked := func() {
		t.Helper()
		before := stopped.asked.Load()
		for range enough {
			if got := f.visit(t); got != other {
				t.Fatalf("a client was served by %q", got)
			}
			if stopped.asked.Load() > before {
				return
			}
		}
		t.Fatal("the stopped agent was never asked")
	}
	untilAsked()
	noMore := func(why string) {
		t.Helper()
		before := stopped.asked.Load()
		for range enough {
			f.visit(t)
		}
		if n := stopped.asked.Load() - before; n > 0 {
			t.Errorf("%s: the stopped agent was asked %d times", why, n)
		}
	}
	noMore("right after that")
	f.clock.Advance(9 * time.Second)
	noMore("some seconds later")
	f.clock.Advance(2 * time.Second)
	untilAsked()

	well.leave()
	before := stopped.asked.Load()
	if got := f.visit(t); got != "" || stopped.asked.Load() == before {
		t.Errorf("the only agent was asked %d times and %q answered", stopped.asked.Load()-before, got)
	}
	close(stopped.stopped)
	if got := f.visit(t); got != one {
		t.Errorf("the only agent goes on, and %q answers", got)
	}
	close(f.agent(t, other).stopped)
	for range enough {
		if f.visit(t) == one {
			return // it answered, so that it is asked in its turn again
		}
	}
	t.Error("an agent that goes on is still asked last")
}
