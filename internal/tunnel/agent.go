package tunnel

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Pool is the agent's side of the data connections to one proxy.
type Pool struct {
	// Dial opens a TCP connection to the proxy's port.
	Dial func(ctx context.Context) (net.Conn, error)
	// Admit decides whether a dispatched connection is taken; it must not block.
	Admit func() Verdict
	// Serve serves a client's connection, which it owns, and returns when it is done.
	Serve func(ctx context.Context, conn net.Conn, d Dispatch)

	running sync.WaitGroup
}

// Use opens the data connection of a ticket, parks it, and serves the client that comes on it. It
// returns at once. The connection waits until the parking context ends, and is served until the serving
// context ends.
func (p *Pool) Use(parking, serving context.Context, ticket Ticket, failed func(error)) {
	p.running.Go(func() {
		if err := p.use(parking, serving, ticket); err != nil && parking.Err() == nil {
			failed(err)
		}
	})
}

// Wait returns when every connection of the pool has ended.
func (p *Pool) Wait() { p.running.Wait() }

func (p *Pool) use(parking, serving context.Context, ticket Ticket) error {
	conn, err := p.Dial(parking)
	if err != nil {
		return fmt.Errorf("opening data connection: %w", err)
	}
	unblock := context.AfterFunc(parking, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if _, err := conn.Write(ticket.Preface()); err != nil {
		_ = conn.Close()
		return fmt.Errorf("opening data connection: %w", err)
	}
	d, err := ticket.ReadDispatch(conn)
	if err != nil {
		_ = conn.Close()
		return nil // retired by the proxy, or the proxy is gone: the control connection tells
	}
	if !unblock() {
		_ = conn.Close()
		return nil
	}
	verdict := p.Admit()
	if _, err := conn.Write([]byte{byte(verdict)}); err != nil || verdict != Accepted {
		_ = conn.Close()
		return err
	}
	p.Serve(serving, conn, d)
	return nil
}
