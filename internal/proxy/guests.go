package proxy

import (
	"errors"
	"net"
	"sync"

	"sallyport/internal/tunnel"
)

// How many connections may be open whose clients have not shown who they are.
const (
	maxGuests          = 5000
	maxGuestsPerSource = 100
)

var errGuests = errors.New("too many connections that have not authenticated")

// guests counts connections of strangers. A client stops being a guest when the agent reports that its
// handshake succeeded, or when its connection ends. Safe for concurrent use.
type guests struct {
	mu       sync.Mutex
	total    int                  // guarded by mu
	bySource map[string]int       // guarded by mu
	waiting  map[tunnel.ID]*guest // whose authentication an agent will report; guarded by mu
}

func newGuests() *guests {
	return &guests{bySource: make(map[string]int), waiting: make(map[tunnel.ID]*guest)}
}

// guest is one connection of a stranger.
type guest struct {
	all    *guests
	source string
	once   sync.Once
}

func (g *guests) enter(conn net.Conn) (*guest, error) {
	source := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(source); err == nil {
		source = host
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxGuests || g.bySource[source] >= maxGuestsPerSource {
		return nil, errGuests
	}
	g.total++
	g.bySource[source]++
	return &guest{all: g, source: source}, nil
}

// leave is called when the client has authenticated or is gone; more than once is fine.
func (g *guest) leave() {
	g.once.Do(func() {
		g.all.mu.Lock()
		defer g.all.mu.Unlock()
		g.all.total--
		if g.all.bySource[g.source]--; g.all.bySource[g.source] == 0 {
			delete(g.all.bySource, g.source)
		}
	})
}

// await notes that an agent will report the guest's authentication under the id.
func (g *guests) await(id tunnel.ID, guest *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[id] = guest
}

func (g *guests) forget(id tunnel.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, id)
}

// authenticated is an agent's report.
func (g *guests) authenticated(id tunnel.ID) {
	g.mu.Lock()
	guest := g.waiting[id]
	delete(g.waiting, id)
	g.mu.Unlock()
	if guest != nil {
		guest.leave()
	}
}
