package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/introduction"
	"sallyport/internal/mux"
	"sallyport/internal/peer"
)

// firstByteWait is how long a stranger may take to begin.
const firstByteWait = 10 * time.Second

// Introduced returns a connection to the API as its client's own: when a proxy passes it on, with the address of the
// client. A proxy that is locked, and whoever else introduces clients, gets an error. It reads the first bytes, until the
// context ends; the caller closes the connection.
func (a *Authority) Introduced(ctx context.Context, conn net.Conn) (net.Conn, error) {
	_ = conn.SetReadDeadline(time.Now().Add(firstByteWait))
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return nil, fmt.Errorf("reading the first byte: %w", err)
	}
	if first[0] != introduction.Magic[0] {
		return mux.Unread(conn, first[:]), conn.SetReadDeadline(time.Time{})
	}
	in, err := introduction.Receive(conn, first[:], a.Trust(), a.Now())
	if errors.Is(err, introduction.ErrTime) && a.quotas.warnings.Take(peer.Source(conn.RemoteAddr().String())) {
		a.Logger.Warn("a client of a proxy was refused", "proxy", conn.RemoteAddr().String(), "error", err)
	}
	if err != nil {
		return nil, err
	}
	if err := a.refuseLockedSubject(ctx, access.LockSubject{ServerID: in.Proxy.Name, JoinToken: in.Proxy.JoinToken}); err != nil {
		return nil, err
	}
	return &introduced{mux.Unread(conn, in.Hello), net.TCPAddrFromAddrPort(in.Client)}, conn.SetReadDeadline(time.Time{})
}

// introduced is a connection that shows the address of its client and not of the proxy.
type introduced struct {
	*mux.Conn
	client net.Addr
}

// RemoteAddr implements net.Conn.
func (c *introduced) RemoteAddr() net.Addr { return c.client }
