package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"time"

	"sallyport/internal/bell"
)

const (
	minPool     = 4  // data connections that each agent keeps parked at least
	maxPool     = 64 // and at most
	parkedLife  = 4 * time.Minute
	ticketLife  = 30 * time.Second
	verdictWait = 2 * time.Second
)

// Reasons why an agent does not take a connection. The caller tries the next agent.
var (
	ErrNoAgent  = errors.New("no control connection from this agent")
	ErrBusy     = errors.New("agent is at its limit")
	ErrDraining = errors.New("agent is stopping")
	ErrSilent   = errors.New("agent did not answer in time")
)

// Hub is the proxy's side: the agents that are connected and their parked connections. The zero value
// is ready. Safe for concurrent use.
type Hub struct {
	mu      sync.Mutex
	agents  map[string]*agentLink // by host id; guarded by mu
	tickets map[ID]*ticketHolder  // tickets handed out and not used; guarded by mu
}

type ticketHolder struct {
	ticket  Ticket
	link    *agentLink
	expires time.Time
}

// agentLink is one agent's control connection.
type agentLink struct {
	hub     *Hub
	host    string
	want    int         // size of the pool; guarded by hub.mu
	owed    int         // tickets sent and not yet used; guarded by hub.mu
	parked  []*parked   // guarded by hub.mu
	closed  bool        // guarded by hub.mu
	changed bell.Bell   // when a connection is parked, and at the end
	send    chan Ticket // to the control connection
}

type parked struct {
	net.Conn
	ticket  Ticket
	retires time.Time
}

// Link is an agent's control connection as its handler sees it.
type Link struct{ link *agentLink }

// Attach registers the control connection of an agent; a later one of the same host replaces it. The
// caller sends the tickets that arrive on Tickets to the agent, and calls Close at the end.
func (h *Hub) Attach(host string) *Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agents == nil {
		h.agents = make(map[string]*agentLink)
		h.tickets = make(map[ID]*ticketHolder)
	}
	if old := h.agents[host]; old != nil {
		h.detach(old)
	}
	link := &agentLink{hub: h, host: host, want: minPool, send: make(chan Ticket, maxPool)}
	h.agents[host] = link
	h.top(link)
	return &Link{link}
}

// Tickets yields tickets for the agent; closed when another control connection took over.
func (l *Link) Tickets() <-chan Ticket { return l.link.send }

// Upkeep retires old parked connections and replaces tickets that were never used. The caller calls it
// every few seconds.
func (l *Link) Upkeep(now time.Time) {
	h := l.link.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, holder := range h.tickets {
		if holder.link == l.link && now.After(holder.expires) {
			delete(h.tickets, id)
			l.link.owed--
		}
	}
	kept := l.link.parked[:0]
	for _, conn := range l.link.parked {
		if now.After(conn.retires) {
			_ = conn.Close()
			continue
		}
		kept = append(kept, conn)
	}
	l.link.parked = kept
	h.top(l.link)
}

// Close ends the link and its parked connections. Sessions that were dispatched go on.
func (l *Link) Close() {
	h := l.link.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agents[l.link.host] == l.link {
		delete(h.agents, l.link.host)
	}
	h.detach(l.link)
}

// detach ends a link. The caller holds mu.
func (h *Hub) detach(link *agentLink) {
	if link.closed {
		return
	}
	link.closed = true
	for _, conn := range link.parked {
		_ = conn.Close()
	}
	link.parked = nil
	for id, holder := range h.tickets {
		if holder.link == link {
			delete(h.tickets, id)
		}
	}
	close(link.send)
	link.changed.Ring()
}

// top sends as many tickets as the pool lacks. The caller holds mu.
func (h *Hub) top(link *agentLink) {
	for !link.closed && len(link.parked)+link.owed < link.want {
		ticket := Ticket{secret: make([]byte, secretSize)}
		_, _ = rand.Read(ticket.ID[:]) // never fails (crypto/rand)
		_, _ = rand.Read(ticket.secret)
		select {
		case link.send <- ticket:
		default:
			return // the control connection is behind; Upkeep tries again
		}
		h.tickets[ticket.ID] = &ticketHolder{ticket: ticket, link: link, expires: time.Now().Add(ticketLife)}
		link.owed++
	}
}

// Park takes a data connection whose first bytes were read, checks its preface and keeps it. It owns the
// connection from then on, and closes it when the preface is not that of an open ticket.
func (h *Hub) Park(conn net.Conn, read []byte) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	id, mac, err := readPreface(conn, read)
	if err != nil {
		_ = conn.Close()
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	h.mu.Lock()
	defer h.mu.Unlock()
	holder := h.tickets[id]
	if holder == nil || time.Now().After(holder.expires) || !holder.ticket.checkPreface(mac) {
		_ = conn.Close()
		return errors.New("data connection shows no open ticket")
	}
	delete(h.tickets, id)
	link := holder.link
	link.owed--
	jitter := time.Duration((mathrand.Float64() - 0.5) * 0.4 * float64(parkedLife))
	link.parked = append(link.parked, &parked{Conn: conn, ticket: holder.ticket, retires: time.Now().Add(parkedLife + jitter)})
	link.changed.Ring()
	return nil
}

// Connected reports whether the agent has a control connection.
func (h *Hub) Connected(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.agents[host] != nil
}

// Dispatch takes a parked connection of the agent, tells the agent who comes, and returns the connection
// once the agent has accepted. The caller owns it and sends the client's bytes next.
func (h *Hub) Dispatch(ctx context.Context, host string, d Dispatch) (net.Conn, error) {
	for {
		conn, err := h.take(ctx, host)
		if err != nil {
			return nil, err
		}
		err = dispatch(conn, d)
		if err == nil {
			return conn.Conn, nil
		}
		_ = conn.Close()
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrDraining) || errors.Is(err, ErrSilent) {
			return nil, err
		}
		// A parked connection that broke while it waited says nothing about the agent: next one.
	}
}

func dispatch(conn *parked, d Dispatch) error {
	_ = conn.SetDeadline(time.Now().Add(verdictWait))
	if err := conn.ticket.WriteDispatch(conn, d); err != nil {
		return err
	}
	var verdict [1]byte
	if _, err := io.ReadFull(conn, verdict[:]); err != nil {
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			return ErrSilent
		}
		return fmt.Errorf("waiting for the agent's answer: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	switch Verdict(verdict[0]) {
	case Accepted:
		return nil
	case Busy:
		return ErrBusy
	case Draining:
		return ErrDraining
	default:
		return fmt.Errorf("agent answered %d", verdict[0])
	}
}

// take returns a parked connection, waiting for one when the pool has run dry.
func (h *Hub) take(ctx context.Context, host string) (*parked, error) {
	deadline := time.NewTimer(verdictWait)
	defer deadline.Stop()
	grown := false
	for {
		h.mu.Lock()
		link := h.agents[host]
		if link == nil {
			h.mu.Unlock()
			return nil, ErrNoAgent
		}
		if n := len(link.parked); n > 0 {
			conn := link.parked[0] // the oldest: young ones live longer in the pool
			link.parked = append(link.parked[:0], link.parked[1:]...)
			h.top(link)
			h.mu.Unlock()
			return conn, nil
		}
		if !grown {
			link.want = min(2*link.want, maxPool)
			grown = true
		}
		h.top(link)
		changed := link.changed.Changed()
		h.mu.Unlock()
		select {
		case <-changed:
		case <-deadline.C:
			return nil, ErrSilent
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
