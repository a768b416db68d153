package proxy

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport/internal/tunnel"
)

// silentFor is how long an agent that did not answer is asked after the others.
const silentFor = 10 * time.Second

// Agents returns how many agents are connected, without one in this process.
func (p *Proxy) Agents() int {
	p.links.mu.Lock()
	defer p.links.mu.Unlock()
	return len(p.links.all)
}

// silent are the agents that let a client wait lately: connected, but stopped or on a host that is gone. The next
// clients need not wait for them too, as long as there are others. Safe for concurrent use.
type silent struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time // by host; guarded by mu
}

func newSilent(now func() time.Time) *silent {
	return &silent{now: now, until: make(map[string]time.Time)}
}

// note keeps how an agent answered a dispatch.
func (s *silent) note(host string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.until, func(_ string, until time.Time) bool { return !now.Before(until) })
	if errors.Is(err, tunnel.ErrSilent) {
		s.until[host] = now.Add(silentFor)
	} else {
		delete(s.until, host)
	}
}

// last moves the silent ones behind the others, which keep their order.
func (s *silent) last(hosts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	rank := func(host string) int {
		if now.Before(s.until[host]) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(hosts, func(a, b string) int { return rank(a) - rank(b) })
}
