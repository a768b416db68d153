package mysql

import (
	"context"
	"errors"
	"net"
	"time"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// FilesIn returns the files of the client that a text asks for.
func FilesIn(text []byte) []string { return filesIn(text) }

// WaitForKills has those who may only kill be waited for so long.
func (e *Engine) WaitForKills(patience time.Duration) { e.onlyKillers.patience = patience }

// Relay runs the part of a session behind the login.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session) error {
	r := newRelay(ctx, e, client, s, passed&^mysqlwire.DeprecateEOF&^mysqlwire.SessionTrack&^mysqlwire.CacheMetadata, &backend{conn: server})
	r.again = func(context.Context) (*backend, error) { return nil, errors.New("there is one connection only") }
	return r.run()
}
