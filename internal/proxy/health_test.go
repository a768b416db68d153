package proxy_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"sallyport/internal/proxy"
	"sallyport/internal/tunnel"
)

const third = "44444444-4444-4444-8444-444444444444"

// TestAgentsThatReachTheDatabaseComeFirst has three agents that leave one after the other, the best first.
func TestAgentsThatReachTheDatabaseComeFirst(t *testing.T) {
	t.Parallel()
	f := start(t, one+" unhealthy", other, third+" healthy")
	var agents []*agent
	for _, host := range []string{third, other, one} {
		a := f.agent(t, host)
		close(a.stopped)
		agents = append(agents, a)
	}
	for _, a := range agents {
		for range 20 { // by chance they would not all come here
			if got := f.visit(t); got != a.host {
				t.Fatalf("a client was served by %q, want %q", got, a.host)
			}
		}
		a.leave()
	}
}

// TestASilentAgentThatReachesTheDatabaseComesBeforeOneThatDoesNot, and after one that does not know.
func TestASilentAgentThatReachesTheDatabaseComesBeforeOneThatDoesNot(t *testing.T) {
	t.Parallel()
	f := start(t, one+" unhealthy", other, third+" healthy")
	silent, last := f.agent(t, third), f.agent(t, one)
	close(last.stopped)
	for range 2 { // it is asked also when it is known to be silent
		before := silent.asked.Load()
		if got := f.visit(t); got != one || silent.asked.Load() == before {
			t.Fatalf("a client was served by %q, the silent agent was asked %d times", got, silent.asked.Load()-before)
		}
	}
	unknown := f.agent(t, other)
	close(unknown.stopped)
	before := silent.asked.Load()
	if got := f.visit(t); got != other || silent.asked.Load() != before {
		t.Errorf("a client was served by %q, the silent agent was asked %d times", got, silent.asked.Load()-before)
	}
	f.clock.Advance(11 * time.Second)
	if got := f.visit(t); got != other || silent.asked.Load() == before {
		t.Errorf("later a client was served by %q, the agent that may go on was asked %d times", got, silent.asked.Load()-before)
	}
}

// here is an agent in the proxy's process.
type here struct{ proxy.LocalAgent }

func (here) Serve(_ context.Context, conn net.Conn, _ tunnel.Dispatch, _ func()) {
	_, _ = io.WriteString(conn, "here")
	_ = conn.Close()
}

func TestTheAgentInTheSameProcessComesFirstAmongEquals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ local, remote, want string }{
		{"", "", "here"},
		{" healthy", " healthy", "here"},
		{" healthy", "", "here"},
		{"", " healthy", one},
		{"", " unhealthy", "here"},
		{" unhealthy", "", one},
		{" unhealthy", " healthy", one},
		{" unhealthy", " unhealthy", "here"},
	} {
		f := startBeside(t, here{}, proxyID+test.local, one+test.remote)
		a := f.agent(t, one)
		close(a.stopped)
		for range 5 {
			if got := f.visit(t); got != test.want {
				t.Errorf("here%s, elsewhere%s: a client was served by %q", test.local, test.remote, got)
			}
		}
		a.leave()
	}
}
