//go:build unix

package redisserver

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/realserver"
)

// Monitor is what a server executes, as it says itself.
type Monitor struct {
	conn *conn
	done sync.WaitGroup

	mu    sync.Mutex
	lines []string // guarded by mu
}

// Monitor begins to note what the server executes for others than the administrator, until the test is over.
func (s *Server) Monitor(t testing.TB) *Monitor {
	t.Helper()
	c, err := s.admin()
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := c.do("MONITOR"); err != nil || answer != "OK" {
		t.Fatalf("MONITOR: %s, %v", answer, err)
	}
	_ = c.raw.SetDeadline(time.Time{})
	m := &Monitor{conn: c}
	m.done.Go(m.read)
	t.Cleanup(func() {
		c.close()
		m.done.Wait()
	})
	return m
}

// monitored is a line of MONITOR (redis.io/docs/latest/commands/monitor): time, database and address, command.
var monitored = regexp.MustCompile(`^[0-9.]+ \[\d+ ([^\]]*)\] (.*)$`)

func (m *Monitor) read() {
	for {
		line, err := m.conn.read()
		if err != nil {
			return
		}
		if found := monitored.FindStringSubmatch(line); found != nil && !strings.HasPrefix(found[1], "unix:") {
			m.mu.Lock()
			m.lines = append(m.lines, found[2])
			m.mu.Unlock()
		}
	}
}

// Lines returns what was executed so far: the arguments of each command in quotes.
func (m *Monitor) Lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

// Wait waits until a line contains the text.
func (m *Monitor) Wait(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(realserver.Timeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if slices.ContainsFunc(m.Lines(), func(line string) bool { return strings.Contains(line, text) }) {
			return
		}
	}
	t.Fatalf("Redis has not executed %q, but:\n%s", text, strings.Join(m.Lines(), "\n"))
}
