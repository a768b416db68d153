package mysql

import (
	"context"
	"errors"
	"net"
	"time"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// FilesIn returns the files of the client that a text asks for.
func FilesIn(text []byte) []string { return filesIn(text) }

// LogIn logs in to the database at the other end of a connection.
func (e *Engine) LogIn(ctx context.Context, database net.Conn) error {
	_, err := e.logIn(ctx, &session.Upstream{Conn: database}, &resource.Database{}, &hello{})
	return err
}

// WaitForKills has those who may only kill be waited for so long.
func (e *Engine) WaitForKills(patience time.Duration) { e.onlyKillers.patience = patience }

// Relay runs the part of a session behind the login.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session) error {
	r := newRelay(ctx, e, client, s, passed&^mysqlwire.DeprecateEOF&^mysqlwire.SessionTrack&^mysqlwire.CacheMetadata, &backend{conn: server})
	r.again = func(context.Context) (*backend, error) { return nil, errors.New("there is one connection only") }
	return r.run()
}
