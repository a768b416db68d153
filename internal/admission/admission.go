// Package admission bounds the connections that a listener holds open: all of one source, and, far more
// tightly, those whose clients have not shown who they are.
package admission

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Limits of a Gate. Each must be positive.
type Limits struct {
	Strangers          int // connections whose clients have not authenticated
	StrangersPerSource int
	PerSource          int // all connections of one source address
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
	strangers int                // guarded by mu
	sources   map[string]*source // guarded by mu
}

type source struct{ strangers, all int }

// NewGate returns a gate through which nobody has come.
func NewGate(limits Limits) *Gate { return &Gate{limits: limits, sources: make(map[string]*source)} }

// Visitor is one connection. Safe for concurrent use.
type Visitor struct {
	gate   *Gate
	source string

	mu    sync.Mutex
	known bool // guarded by mu
	gone  bool // guarded by mu
	owned bool // by a connection from Own, whose end is the visitor's; guarded by mu
}

// Enter counts a connection from an address, as a stranger's. The caller ends the visit with Release.
func (g *Gate) Enter(addr net.Addr) (*Visitor, error) {
	host := addr.String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	src := g.sources[host]
	if src == nil {
		src = &source{}
	}
	if g.strangers >= g.limits.Strangers || src.strangers >= g.limits.StrangersPerSource || src.all >= g.limits.PerSource {
		return nil, ErrFull
	}
	g.sources[host] = src
	g.strangers++
	src.strangers++
	src.all++
	return &Visitor{gate: g, source: host}, nil
}

// Known notes that the client has shown who it is. More than once is fine.
func (v *Visitor) Known() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known || v.gone {
		return
	}
	v.known = true
	v.gate.recognise(v.source)
}

// Release ends the visit, unless a connection from Own does that. More than once is fine.
func (v *Visitor) Release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.owned {
		v.leave()
	}
}

// leave ends the visit. The caller holds mu.
func (v *Visitor) leave() {
	if v.gone {
		return
	}
	v.gone = true
	if !v.known {
		v.gate.recognise(v.source)
	}
	v.gate.forget(v.source)
}

func (g *Gate) recognise(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strangers--
	g.sources[host].strangers--
}

func (g *Gate) forget(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if src := g.sources[host]; src.all > 1 {
		src.all--
		return
	}
	delete(g.sources, host)
}

// Own returns the connection with a Close that ends the visit; Release does nothing from then on. When
// patience is not 0, the connection is closed unless the client has become known by then.
func (v *Visitor) Own(conn net.Conn, patience time.Duration) net.Conn {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owned = true
	owned := &ownedConn{Conn: conn, visitor: v}
	if patience > 0 {
		owned.impatient = time.AfterFunc(patience, func() {
			if !v.isKnown() {
				_ = conn.Close()
			}
		})
	}
	return owned
}

func (v *Visitor) isKnown() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.known
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
	c.visitor.mu.Lock()
	c.visitor.leave()
	c.visitor.mu.Unlock()
	return c.Conn.Close()
}
