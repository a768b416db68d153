package agent_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/agent"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cred"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// fallen is an engine that panics whatever it is asked.
type fallen struct{}

func (fallen) Serve(ctx context.Context, _ net.Conn, s *session.Session) error {
	_, err := s.Open(ctx, session.Want{User: "postgres", Name: "postgres"})
	panic(fmt.Sprint("in a session, ", err))
}

func (fallen) Check(context.Context, *session.Probe) error { panic("in a check") }

func (fallen) Addresses(context.Context, *resource.Database) ([]string, error) {
	panic("in a look at its health")
}

// emptyCredentials is enough for a database that nobody logs in to.
type emptyCredentials struct{}

func (emptyCredentials) Credential(context.Context, cred.Request) (*cred.Credential, error) {
	return new(cred.Credential), nil
}

// TestStacksOfPanicsAreForTheLogOnly also has the log show each stack in a line of its own.
func TestStacksOfPanicsAreForTheLogOnly(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	events := a.keep()
	a.store(t, strings.Replace(checked, "TIMEOUT", "30s", 1)+"---\n"+strings.NewReplacer("NAME", "it", "MODE", "''").Replace(role))
	running := a.start(t, func(c *agent.Config) {
		c.Engines = map[string]agent.Protocol{resource.ProtocolPostgres: {Engine: fallen{}}}
		c.Credentials = emptyCredentials{}
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			return ours, theirs.Close()
		}
	}, database(t, "orders", nil))
	var health resource.TargetHealth
	eventually(t, "its health is told", func() bool {
		if server := a.server("orders"); server != nil {
			health = server.Status.TargetHealth
		}
		return health.TransitionReason == resource.HealthInternalError
	})
	a.checks <- &sallyportv1.DatabaseCheck{Id: "1", DatabaseService: "orders", DatabaseUser: "postgres", User: "alice"}
	report := <-a.reports
	said := running.visit(t, "orders", alice("orders", "it"))
	running.stop() // and the log has all events

	told := slices.Concat([]string{health.TransitionError, report.String(), said}, events.lines)
	for _, text := range told {
		if strings.Contains(text, "panic_test.go") {
			t.Errorf("people are told of the program's inside: %s", text)
		}
	}
	if !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(text, "engine panicked: in a session, <nil>") }) {
		t.Errorf("no event has why the session ended: %q", told)
	}
	for _, where := range []string{"in a session", "in a check", "in a look at its health"} {
		stacks := 0
		for line := range strings.Lines(running.log.String()) {
			switch {
			case !strings.Contains(line, where):
			case strings.Contains(line, `msg="an engine has a fault"`) && strings.Contains(line, "panic_test.go"):
				stacks++
			case strings.Contains(line, "panic_test.go"):
				t.Errorf("a stack is in the text of an error: %s", line)
			}
		}
		if stacks != 1 {
			t.Errorf("the log has %d stacks of what happened %s, want 1", stacks, where)
		}
	}
}
