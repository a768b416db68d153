package redis

import (
	"context"
	"net"

	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

// Relay runs the part of a session behind the login, which opened the account with the password.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session, up *session.Upstream, password string) error {
	v := &visit{engine: e, client: client, session: s, in: inbox.New(&e.buffers), account: up.User, password: password}
	defer v.in.Release()
	b := &backend{conn: server, in: inbox.New(&e.buffers), up: up}
	defer b.in.Release()
	return newRelay(ctx, v, b).run()
}
