package agent

import (
	"sync"
	"time"

	"sallyport/internal/bell"
)

const (
	// twinMemory is how long another process is believed to be there since it was last seen. As long as both are, they take the
	// connection to the proxy from each other every few seconds.
	twinMemory = time.Minute
	// twinHeartbeat is how often a process announces itself which has a twin: it may withdraw what both announce, such as when it is of an
	// older version.
	twinHeartbeat = 10 * time.Second
)

// twin is another process with the data directory of this one, and so the same host for the cluster. Operators have two for a moment when one
// takes over from the other, or start a second one by mistake. It is safe for concurrent use.
type twin struct {
	mu   sync.Mutex
	seen time.Time // when it last took our place; guarded by mu
	news bool      // since then nothing was announced; guarded by mu
	bell bell.Bell // rings when it takes our place
}

// saw notes that a twin has taken our place at a proxy.
func (t *twin) saw(now time.Time) {
	t.mu.Lock()
	t.seen, t.news = now, true
	t.mu.Unlock()
	t.bell.Ring()
}

// exists reports whether there is a twin, as far as is known.
func (t *twin) exists(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.seen.IsZero() && now.Sub(t.seen) < twinMemory
}

// takeNews reports, once, that a twin was seen.
func (t *twin) takeNews() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.news
	t.news = false
	return news
}
