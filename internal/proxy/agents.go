package proxy

import (
	"errors"
	"maps"
	mathrand "math/rand/v2"
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

// has reports whether an agent let a client wait lately.
func (s *silent) has(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Before(s.until[host])
}

// agentsOf returns the hosts that serve the database with the id, connected ones only, in the order in which they are asked. Last
// come those that cannot reach the database, before them those that did not answer lately, and before them those that do not know
// whether they can. An agent in this process comes before those that are as good, which are in random order.
func (p *Proxy) agentsOf(id string) []string {
	var all []serving
	for _, s := range p.databases.hostsOf(id) {
		if p.isLocal(s.host) || p.hub.Connected(s.host) {
			all = append(all, s)
		}
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	cost := func(s serving) (sum int) {
		for weight, holds := range []bool{!p.isLocal(s.host), s.health > 0, p.silent.has(s.host), s.health > 1} {
			if holds {
				sum += 1 << weight
			}
		}
		return sum
	}
	slices.SortStableFunc(all, func(a, b serving) int { return cost(a) - cost(b) })
	hosts := make([]string, len(all))
	for i, s := range all {
		hosts[i] = s.host
	}
	return hosts
}

// isLocal reports whether a host is the agent in this process.
func (p *Proxy) isLocal(host string) bool { return p.cfg.Local != nil && host == p.cfg.HostID }
