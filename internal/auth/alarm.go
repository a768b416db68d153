package auth

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/audit"
)

// maxRefusedJoins is how many joins of a minute may be refused in the whole cluster before it is recorded
// that somebody may be trying tokens.
const maxRefusedJoins = 100

// alarm counts what happens within a minute. The zero value is ready for use; safe for concurrent use.
type alarm struct {
	mu    sync.Mutex
	since time.Time // guarded by mu
	count int       // since then; guarded by mu
}

// add takes one into account and reports whether it is the first above the limit within its minute.
func (m *alarm) add(now time.Time, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) >= time.Minute {
		m.since, m.count = now, 0
	}
	m.count++
	return m.count == limit+1
}

func (a *Authority) countRefusedJoin(ctx context.Context, from string) error {
	if !a.refusedJoins.add(a.Now(), maxRefusedJoins) {
		return nil
	}
	a.Logger.Warn("many joins are refused: somebody may be trying tokens", "last_from", from)
	return a.record(ctx, &audit.JoinAlert{Failures: maxRefusedJoins + 1, LastAddr: from})
}
