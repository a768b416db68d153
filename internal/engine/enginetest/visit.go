package enginetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/session"
)

// Visit is one session of an Agent.
type Visit struct {
	Journal Journal
	Session *session.Session

	id   string
	end  context.CancelCauseFunc
	done chan struct{}
	err  error // once done
}

func (v *Visit) serve(ctx context.Context, e engine.Engine, client net.Conn) {
	defer close(v.done)
	defer client.Close()
	v.err = engine.Guard("engine", func() error { return e.Serve(ctx, client, v.Session) }) // as the agent does
	if err := v.Session.Close("ended", v.err); err != nil {
		v.err = errors.Join(v.err, err)
	}
}

// Visit returns the n-th session, counted from 0, and waits for it to begin.
func (a *Agent) Visit(t testing.TB, n int) *Visit {
	t.Helper()
	timeout := time.After(Patience)
	for {
		more, visits := a.more.Changed(), a.Visits()
		if n < len(visits) {
			return visits[n]
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("there were %d connections, not %d", len(visits), n+1)
		}
	}
}

// Visits returns the sessions so far.
func (a *Agent) Visits() []*Visit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.visits[:len(a.visits):len(a.visits)]
}

// End ends the session with a cause, as a lock or an expired certificate does.
func (v *Visit) End(cause error) { v.end(cause) }

// Wait waits until the session has ended, and returns what the engine did. It fails the test if the engine
// has left a goroutine behind.
func (v *Visit) Wait(t testing.TB) error {
	t.Helper()
	select {
	case <-v.done:
	case <-time.After(Patience):
		t.Fatalf("the session does not end; goroutines:\n%s", v.of(goroutines()))
	}
	tidy(t, v)
	return v.err
}

// Reach waits until a goroutine of the session is in a function, of which a part of the name is given.
func (v *Visit) Reach(t testing.TB, function string) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !strings.Contains(v.of(goroutines()), function); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the session does not come to %s; goroutines:\n%s", function, v.of(goroutines()))
		}
	}
}

// tidy waits until no goroutine of ended sessions is left.
func tidy(t testing.TB, visits ...*Visit) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		stacks := goroutines()
		visits = slices.DeleteFunc(slices.Clone(visits), func(v *Visit) bool { return v.of(stacks) == "" })
		if len(visits) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", visits[0].of(stacks))
		}
		time.Sleep(time.Millisecond)
	}
}

// goroutines returns the stacks of all, with their labels.
func goroutines() string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	return profile.String()
}

// of returns the stacks that belong to the session.
func (v *Visit) of(stacks string) string {
	if !strings.Contains(stacks, v.id) {
		return ""
	}
	return strings.Join(slices.DeleteFunc(strings.Split(stacks, "\n\n"), func(stack string) bool { return !strings.Contains(stack, v.id) }), "\n\n")
}
