// Package admission bounds the connections that a listener holds open: all of one source, and, far more
// tightly, those whose clients have not shown who they are. When there are too many of the latter, the oldest
// of them is closed, so that whoever opens many cannot keep others out.
package admission

import (
	"container/list"
	"errors"
	"net"
	"sync"
	"time"

	"sallyport/internal/peer"
)

// Limits of a Gate. Each must be positive.
type Limits struct {
	Strangers          int // connections whose clients have not authenticated
	StrangersPerSource int
	PerSource          int // all connections of one source (peer.Source)
}

// Defaults are the limits of every listener, but for the configurable one of all connections of a source.
func Defaults(perSource int) Limits {
	return Limits{Strangers: 5000, StrangersPerSource: 100, PerSource: perSource}
}

// ErrFull is returned by Enter for a connection that is one too many.
var ErrFull = errors.New("too many connections")

// Gate counts connections. Safe for concurrent use.
type Gate struct {
	limits Limits

	mu        sync.Mutex
	strangers list.List          // of *Visitor, the oldest first; guarded by mu
	sources   map[string]*source // guarded by mu
}

// source is guarded by Gate.mu.
type source struct {
	strangers list.List // of *Visitor, the oldest first
	all       int
}

// NewGate returns a gate through which nobody has come.
func NewGate(limits Limits) *Gate { return &Gate{limits: limits, sources: make(map[string]*source)} }

// Visitor is one connection. Safe for concurrent use.
type Visitor struct {
	gate *Gate
	conn net.Conn

	source string // guarded by gate.mu
	// A stranger's places in the lists of all and of its source; nil for others. Guarded by gate.mu.
	ofAll, ofSource *list.Element
	gone            bool // guarded by gate.mu
	owned           bool // by a connection from Own, whose end is the visitor's; guarded by gate.mu
}

// Enter counts a connection as a stranger's, by the address of its peer. It closes the oldest stranger's when that
// makes one too many, and returns ErrFull when those of the source are too many without strangers. The caller ends the
// visit with Release, and closes the connection itself.
func (g *Gate) Enter(conn net.Conn) (*Visitor, error) {
	v := &Visitor{gate: g, conn: conn, source: peer.Source(conn.RemoteAddr().String())}
	crowded, err := g.enter(v)
	if err != nil {
		return nil, err
	}
	for _, other := range crowded {
		_ = other.conn.Close()
	}
	return v, nil
}

// enter counts a visitor and returns those who have to go for it.
func (g *Gate) enter(v *Visitor) (crowded []*Visitor, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if crowded, err = g.makeRoom(v.source, true); err != nil {
		return nil, err
	}
	if g.strangers.Len() >= g.limits.Strangers {
		crowded = append(crowded, g.dropOldest(&g.strangers))
	}
	v.ofAll = g.strangers.PushBack(v)
	g.add(v)
	return crowded, nil
}

// makeRoom ends a stranger's visit, which it returns, if a source could not have one more otherwise. The caller holds mu.
func (g *Gate) makeRoom(name string, forStranger bool) (crowded []*Visitor, err error) {
	src := g.sources[name]
	switch {
	case src == nil || src.all < g.limits.PerSource && !(forStranger && src.strangers.Len() >= g.limits.StrangersPerSource):
		return nil, nil
	case src.strangers.Len() == 0:
		return nil, ErrFull
	}
	return []*Visitor{g.dropOldest(&src.strangers)}, nil
}

// add counts a visitor as one of its source. The caller holds mu.
func (g *Gate) add(v *Visitor) {
	src := g.sources[v.source]
	if src == nil {
		src = &source{}
		g.sources[v.source] = src
	}
	if src.all++; v.ofAll != nil {
		v.ofSource = src.strangers.PushBack(v)
	}
}

// remove is the opposite of add. The caller holds mu.
func (g *Gate) remove(v *Visitor) {
	src := g.sources[v.source]
	if v.ofSource != nil {
		src.strangers.Remove(v.ofSource)
		v.ofSource = nil
	}
	if src.all--; src.all == 0 {
		delete(g.sources, v.source)
	}
}

// ComesFrom counts the visit under another address, with or without a port: a balancer has told whose it is. As with
// Enter, the oldest stranger from there may have to go, and ErrFull means that there is no room.
func (v *Visitor) ComesFrom(address string) error {
	crowded, err := v.gate.move(v, peer.Source(address))
	for _, other := range crowded {
		_ = other.conn.Close()
	}
	return err
}

func (g *Gate) move(v *Visitor, to string) (crowded []*Visitor, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.gone || v.source == to {
		return nil, nil
	}
	if crowded, err = g.makeRoom(to, v.ofAll != nil); err != nil {
		return nil, err
	}
	g.remove(v)
	v.source = to
	g.add(v)
	return crowded, nil
}

// dropOldest ends the visit of the first of some strangers and returns it. The caller holds mu.
func (g *Gate) dropOldest(strangers *list.List) *Visitor {
	v := strangers.Front().Value.(*Visitor)
	g.leave(v)
	return v
}

// Known notes that the client has shown who it is. More than once is fine.
func (v *Visitor) Known() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.gate.recognise(v)
}

// recognise counts a visitor as a stranger no more. The caller holds mu.
func (g *Gate) recognise(v *Visitor) {
	if v.ofAll == nil {
		return
	}
	g.strangers.Remove(v.ofAll)
	g.sources[v.source].strangers.Remove(v.ofSource)
	v.ofAll, v.ofSource = nil, nil
}

// Leave ends the visit, whoever else would have ended it. More than once is fine.
func (v *Visitor) Leave() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.gate.leave(v)
}

// Release ends the visit, unless a connection from Own does that. More than once is fine.
func (v *Visitor) Release() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	if !v.owned {
		v.gate.leave(v)
	}
}

// leave ends a visit. The caller holds mu.
func (g *Gate) leave(v *Visitor) {
	if v.gone {
		return
	}
	g.recognise(v)
	v.gone = true
	g.remove(v)
}

// Own returns the connection with a Close that ends the visit; Release does nothing from then on. When
// patience is not 0, the connection is closed unless the client has become known by then.
func (v *Visitor) Own(conn net.Conn, patience time.Duration) net.Conn {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.owned = true
	owned := &ownedConn{Conn: conn, visitor: v}
	if patience > 0 {
		owned.impatient = time.AfterFunc(patience, func() {
			if v.isStranger() {
				_ = conn.Close()
			}
		})
	}
	return owned
}

func (v *Visitor) isStranger() bool {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	return v.ofAll != nil
}

type ownedConn struct {
	net.Conn
	visitor   *Visitor
	impatient *time.Timer // nil when a stranger may stay
}

// Close implements net.Conn.
func (c *ownedConn) Close() error {
	if c.impatient != nil {
		c.impatient.Stop()
	}
	c.visitor.Leave()
	return c.Conn.Close()
}
