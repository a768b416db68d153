package postgres

import (
	"context"
	"net"

	"sallyport/internal/session"
)

// Relay runs the part of a session behind the login.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session) error {
	return newRelay(ctx, e, client, s, &backend{conn: server}).run()
}

// LogInOn runs the conversation of a login, as the client, and returns how much it kept.
func LogInOn(conn net.Conn, password string) (kept int, err error) {
	l := &login{up: new(session.Upstream), backend: backend{conn: conn}, user: "app", password: password}
	err = l.run()
	return len(l.reports), err
}

// Touches reports whether executing a text may redefine names.
func Touches(text []byte) bool { return touchedBy(text) != 0 }
