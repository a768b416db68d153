// Package redis is the engine for Redis and what speaks its protocol: it connects clients to the database as the
// account that was authorised, records each command before it is passed on, and its outcome before the client reads
// it.
//
// The relay sends on the very bytes that it has read and recorded, and what it does not understand it does not send
// on. The exceptions are commands that are typed in a line, which it sends in the usual form.
package redis

import (
	"context"
	"log/slog"
	"net"
	"time"

	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

// Config is what an Engine is made of. All fields must be set.
type Config struct {
	Now    func() time.Time
	Logger *slog.Logger
}

// Engine serves clients of Redis. It implements engine.Engine and is safe for concurrent use.
type Engine struct {
	cfg     Config
	buffers inbox.Pool
	table   map[string]*command
}

// New returns an engine without sessions.
func New(cfg Config) *Engine {
	return &Engine{cfg: cfg, table: newTable()}
}

// Serve implements engine.Engine.
func (e *Engine) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	v := &visit{engine: e, client: client, session: s, in: inbox.New(&e.buffers)}
	defer v.in.Release()
	return v.serve(ctx)
}
