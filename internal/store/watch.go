package store

import (
	"strings"
	"sync"
)

// watchBuffer is how many changes a watcher may lag behind before it is cut off.
const watchBuffer = 4096

// Watcher receives changes in the order in which they happened. C is closed when the watcher is
// closed, the store is closed, or the watcher was too slow; the receiver then reads everything anew.
type Watcher struct {
	C        <-chan Change
	c        chan Change
	prefixes []string
	hub      *Hub
}

// Close ends the watcher. It may be called more than once.
func (w *Watcher) Close() { w.hub.remove(w) }

func (w *Watcher) wants(key string) bool {
	for _, prefix := range w.prefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// Hub hands changes to watchers. Implementations of Store embed one. The zero value is ready.
type Hub struct {
	mu       sync.Mutex
	watchers map[*Watcher]struct{} // guarded by mu
	closed   bool                  // guarded by mu
}

// Watch adds a watcher of the prefixes.
func (h *Hub) Watch(prefixes ...string) *Watcher {
	c := make(chan Change, watchBuffer)
	w := &Watcher{C: c, c: c, prefixes: prefixes, hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(c)
		return w
	}
	if h.watchers == nil {
		h.watchers = make(map[*Watcher]struct{})
	}
	h.watchers[w] = struct{}{}
	return w
}

// Publish hands a change to every watcher that wants it and never waits: a watcher that is full is cut
// off. The caller holds the lock that orders its changes.
func (h *Hub) Publish(change Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if !w.wants(change.Item.Key) {
			continue
		}
		select {
		case w.c <- change:
		default:
			delete(h.watchers, w)
			close(w.c)
		}
	}
}

// CloseWatchers ends all watchers, and every later one at once.
func (h *Hub) CloseWatchers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.watchers {
		close(w.c)
	}
	h.watchers = nil
}

func (h *Hub) remove(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[w]; ok {
		delete(h.watchers, w)
		close(w.c)
	}
}
