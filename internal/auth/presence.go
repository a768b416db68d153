package auth

import (
	"sync"
	"time"
)

// presence remembers when hosts were last heard. The zero value is ready for use; safe for concurrent use.
type presence struct {
	mu   sync.Mutex
	last map[string]time.Time // by host id; guarded by mu
}

func (p *presence) seen(host string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = make(map[string]time.Time)
	}
	p.last[host] = now
}

// heard reports whether a host was heard within a time.
func (p *presence) heard(host string, now time.Time, within time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.last[host]
	return ok && now.Sub(last) < within
}

// silence returns for how long a host was not heard. One that was never heard is heard now: after a restart
// of the auth server every host gets the time to come back.
func (p *presence) silence(host string, now time.Time) time.Duration {
	p.mu.Lock()
	last, ok := p.last[host]
	p.mu.Unlock()
	if !ok {
		p.seen(host, now)
		return 0
	}
	return now.Sub(last)
}
