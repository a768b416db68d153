// Package bell tells those who wait that something has changed.
package bell

import "sync"

// Bell tells any number of waiters. The zero value is ready. It is safe for concurrent use, with locks held too, and must not be
// copied.
type Bell struct {
	mu   sync.Mutex
	next chan struct{} // closed when it rings; nil as long as nobody waits; guarded by mu
}

// Changed returns a channel that is closed when the bell rings next. Take it before reading what may change.
func (b *Bell) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// Ring tells those who wait. Call it after the change, or before whoever reads it can.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
