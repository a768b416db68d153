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

	"sallyport/internal/engine"
	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

// Config is what an Engine is made of. Now and Logger must be set.
type Config struct {
	Now    func() time.Time
	Logger *slog.Logger
	// MaxLarge bounds the bytes of commands of more than a mebibyte that all sessions together have under way; 0 means
	// 512 MiB. Who has room must go on within LargeWait, 0 meaning 30 seconds; what finds none
	// waits half as long again, and then its session ends. See engine.Budget.
	MaxLarge  int
	LargeWait time.Duration
	// MaxKeptByAll bounds the bytes of scripts that all sessions together make us keep; 0 means 512 MiB. See engine.Room.
	MaxKeptByAll int
}

// Engine serves clients of Redis. It implements engine.Engine and is safe for concurrent use.
type Engine struct {
	cfg     Config
	buffers inbox.Pool
	table   map[string]*command
	large   *engine.Budget
	room    *engine.Room // for texts of scripts
}

// New returns an engine without sessions.
func New(cfg Config) *Engine {
	return &Engine{cfg: cfg, table: newTable(), large: engine.NewBudget(cfg.MaxLarge, cfg.LargeWait), room: engine.NewRoom(cfg.MaxKeptByAll)}
}

// Serve implements engine.Engine.
func (e *Engine) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	v := &visit{engine: e, client: client, session: s, in: inbox.New(&e.buffers)}
	defer v.in.Release()
	return v.serve(ctx)
}
