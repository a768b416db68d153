package proxy

import (
	"sync"

	"sallyport/internal/tunnel"
)

// reports are visitors whose authentication an agent will tell of, because their handshake is not seen
// here. Safe for concurrent use.
type reports struct {
	mu      sync.Mutex
	waiting map[tunnel.ID]func() // guarded by mu
}

func newReports() *reports { return &reports{waiting: make(map[tunnel.ID]func())} }

// await notes what to do when an agent reports the connection with the id. The caller forgets it later.
func (r *reports) await(id tunnel.ID, authenticated func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[id] = authenticated
}

func (r *reports) forget(id tunnel.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// authenticated is an agent's report.
func (r *reports) authenticated(id tunnel.ID) {
	r.mu.Lock()
	known := r.waiting[id]
	delete(r.waiting, id)
	r.mu.Unlock()
	if known != nil {
		known()
	}
}
