package mongodb

import (
	"context"
	"net"

	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

// Relay runs the part of a session behind the login.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session) error {
	return newRelay(ctx, e, client, server, s, inbox.New(&e.pool)).run()
}
