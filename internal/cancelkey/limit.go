package cancelkey

import (
	"net"
	"sync"
	"time"
)

const perSecond = 10

// Limit bounds to ten a second how often each source may ask, whether its keys are known or not. It is safe
// for concurrent use.
type Limit struct {
	now func() time.Time

	mu     sync.Mutex
	second int64          // guarded by mu
	counts map[string]int // in that second, by host; guarded by mu
}

// NewLimit returns a limit that nobody has used yet.
func NewLimit(now func() time.Time) *Limit { return &Limit{now: now} }

// Allow counts a request from the address, host:port, and reports whether it is within the limit.
func (l *Limit) Allow(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := l.now().Unix(); second != l.second || l.counts == nil {
		l.second, l.counts = second, make(map[string]int)
	}
	l.counts[address]++
	return l.counts[address] <= perSecond
}
