// Package mysql is the engine for MySQL and MariaDB: it logs clients in to the database with the account that was
// authorised, records each command before it is passed on, and its result before the client reads it.
//
// The relay sends on the very bytes that it has read and recorded, and what it does not understand it does not send on.
// The one exception are numbers of connections in commands that kill: see killcommand.go.
package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cancelkey"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const startupTimeout = 30 * time.Second

// Config is what an Engine is made of. Now and Logger must be set.
type Config struct {
	Now    func() time.Time
	Logger *slog.Logger
	// MaxKept bounds the bytes of prepared statements that one session makes us keep; 0 means 128 MiB. What goes
	// beyond ends the session.
	MaxKept int
	// MaxKeptByAll bounds the same of all sessions together; 0 means 512 MiB. See engine.Room. A preparation that finds no room is refused.
	MaxKeptByAll int
	// MaxLarge bounds the bytes of messages of more than a mebibyte that all sessions together have under way; 0
	// means 512 MiB. Who has room must go on within LargeWait, 0 meaning 30 seconds; what finds none
	// waits half as long again, and then its session ends. See engine.Budget.
	MaxLarge  int
	LargeWait time.Duration
	// ForwardCancel asks other agents for a session that is to be killed and is none of this engine's; CancelFound tells that
	// one knows it. May be nil.
	ForwardCancel func(cancelkey.Key)
}

const defaultMaxKept = 128 << 20

// Engine serves clients of MySQL and MariaDB. It implements engine.Engine, engine.Canceller, engine.Checker, engine.Scout and
// engine.Greeted and is safe for concurrent use.
type Engine struct {
	cfg     Config
	buffers inbox.Pool
	large   *engine.Budget
	room    *engine.Room // for what sessions keep of prepared statements
	servers servers
	threads threads

	killRequests killRequests
	onlyKillers  onlyKillers
}

// New returns an engine without sessions.
func New(cfg Config) *Engine {
	if cfg.MaxKept == 0 {
		cfg.MaxKept = defaultMaxKept
	}
	return &Engine{
		cfg: cfg, large: engine.NewBudget(cfg.MaxLarge, cfg.LargeWait), room: engine.NewRoom(cfg.MaxKeptByAll),
		killRequests: killRequests{limit: cancelkey.NewLimit(cfg.Now)}, onlyKillers: onlyKillers{patience: onlyKillTime},
	}
}

// Serve implements engine.Engine.
func (e *Engine) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	thread, err := e.threads.add(s)
	if err != nil {
		return err
	}
	d := &dialogue{conn: client}
	return e.serve(ctx, d, s, thread, func() (hello, error) { return e.greet(d, s, thread.shown) })
}

// serve meets a client, logs it in and serves it to its end.
func (e *Engine) serve(ctx context.Context, d *dialogue, s *session.Session, thread *thread, greet func() (hello, error)) error {
	defer e.threads.remove(thread)
	hello, err := meet(ctx, d, greet)
	if err != nil {
		return e.turnAway(ctx, d, s, hello.want, err)
	}
	if s.OnlyCrowded(hello.want) && e.threads.busy(ownerOf(s)) && e.onlyKillers.admit(s.Identity().Name) {
		defer e.onlyKillers.leave(s.Identity().Name)
		return e.serveOnlyKiller(ctx, d, s, hello.want)
	}
	up, err := s.Open(ctx, hello.want)
	if err != nil {
		return d.sayNo(ctx, err)
	}
	b, err := e.logIn(ctx, up, s.Database(), &hello)
	if err != nil {
		return d.sayNo(ctx, err)
	}
	s.SetBackend(uint64(b.connection))
	return e.relay(ctx, d, s, &hello, b, thread)
}

// meet reads what the client wants. What comes with an error is filled in as far as possible.
func meet(ctx context.Context, d *dialogue, greet func() (hello, error)) (hello, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startupTimeout,
		fault.New(fault.ConnectionProblem, "the client did not say what it wants within %s", startupTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })
	h, err := greet()
	if !stop() {
		return h, context.Cause(ctx)
	}
	return h, err
}

// turnAway refuses a client whose request cannot be read or is against policy: it records either, and tells the client by sayNo.
func (e *Engine) turnAway(ctx context.Context, d *dialogue, s *session.Session, want session.Want, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("during the handshake: %w", err)
	}
	if bad, ok := errors.AsType[*malformedPacket](err); ok {
		if _, recordErr := s.Record(ctx, &audit.MalformedPacket{Payload: bad.payload, Error: bad.wrong()}); recordErr != nil {
			return errors.Join(err, recordErr)
		}
	} else if _, ok := errors.AsType[*ending](err); ok {
		err = s.Refuse(want, err)
	}
	return d.sayNo(ctx, err)
}

// dialogue is the conversation with a client up to the relay.
type dialogue struct {
	conn     net.Conn
	sequence byte // of the next packet
}

func (d *dialogue) send(payload []byte) error {
	_, err := d.conn.Write(mysqlwire.AppendPacket(nil, d.sequence, payload))
	d.sequence++
	return err
}

// receive reads one packet of at most limit bytes, of which so many may be recorded if it cannot be read.
func (d *dialogue) receive(limit, shown int) ([]byte, error) {
	payload, sequence, err := mysqlwire.ReadPacket(d.conn, limit)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isNetwork(err):
		return nil, err
	case err != nil:
		return nil, &malformedPacket{malformed("%w", err), nil}
	case sequence != d.sequence:
		return nil, &malformedPacket{malformed("packet number %d, where %d is expected", sequence, d.sequence), payload[:min(len(payload), shown)]}
	}
	d.sequence++
	return payload, nil
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// sayNo tells a client why its visit ends before the relay, and returns that. It records nothing. An error message of the database goes to the client as it is.
func (d *dialogue) sayNo(ctx context.Context, cause error) error {
	code, state := codeOf(cause)
	message := mysqlwire.ServerError{Code: code, State: state, Message: fault.Message(cause)}
	if refused, ok := errors.AsType[*refusedLogin](cause); ok {
		message = refused.shown()
	} else if ctx.Err() != nil {
		cause = context.Cause(ctx)
		message = mysqlwire.ServerError{Code: errShutdown.code, State: errShutdown.state, Message: fault.Message(cause)}
	}
	message.Message = fit(message.Message)
	_ = d.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
	if err := d.send(message.Append(nil)); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// relay welcomes the client in the database's own words, and serves it to its end.
func (e *Engine) relay(ctx context.Context, d *dialogue, s *session.Session, h *hello, b *backend, t *thread) error {
	r := newRelay(ctx, e, d.conn, s, h.flags, b)
	r.again = func(ctx context.Context) (*backend, error) {
		up, err := s.LogInAgain(ctx)
		if err != nil {
			return nil, err
		}
		again, err := e.logIn(ctx, up, s.Database(), &hello{collation: h.collation})
		if err != nil {
			_ = up.Conn.Close()
		}
		return again, err
	}
	t.set(r)
	if err := engine.Welcome(ctx, d.conn, s, mysqlwire.AppendPacket(nil, d.sequence, b.ready)); err != nil {
		return err
	}
	return r.run()
}
