// Package postgres is the engine for PostgreSQL: it logs clients in to the database with the account that was
// authorised, records each statement before it is passed on, and its result before the client reads it.
//
// The relay never changes a message. It sends on the very bytes it has read and recorded, and what it does not
// understand it does not send on.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/audit"
	"sallyport/internal/cancelkey"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/pgwire"
	"sallyport/internal/session"
)

const startupTimeout = 30 * time.Second

// Config is what an Engine is made of. Now and Logger must be set.
type Config struct {
	Now    func() time.Time
	Logger *slog.Logger
	// ForwardCancel passes on a cancel request whose key is not known here, and has CancelFound called when another agent
	// knows it; may be nil.
	ForwardCancel func(cancelkey.Key)
	// MaxKept bounds the bytes of prepared statements and bound values that one session makes us keep; 0 means
	// 128 MiB. What goes beyond ends the session.
	MaxKept int
	// MaxKeptByAll bounds the same of all sessions together; 0 means 512 MiB. See engine.Room. What finds no room is refused.
	MaxKeptByAll int
	// MaxLarge bounds the bytes of messages of more than a mebibyte that all sessions together have under way; 0
	// means 512 MiB. Who has room must go on within LargeWait, 0 meaning 30 seconds; what finds none
	// waits half as long again, and then its session ends. See engine.Budget.
	MaxLarge  int
	LargeWait time.Duration
	// HalfClosed is how long a client that has closed its direction is waited for while the database works for it;
	// 0 means 10 minutes. It may be dead: then the statement is cancelled.
	HalfClosed time.Duration
}

const defaultHalfClosed = 10 * time.Minute

const defaultMaxKept = 128 << 20

// Engine serves clients of PostgreSQL. It implements engine.Engine and engine.Canceller and is safe for
// concurrent use.
type Engine struct {
	cfg     Config
	buffers inbox.Pool
	cancels cancels
	large   *engine.Budget
	room    *engine.Room // for what sessions keep of statements and portals
}

// New returns an engine without sessions.
func New(cfg Config) *Engine {
	if cfg.MaxKept == 0 {
		cfg.MaxKept = defaultMaxKept
	}
	if cfg.HalfClosed == 0 {
		cfg.HalfClosed = defaultHalfClosed
	}
	return &Engine{cfg: cfg, large: engine.NewBudget(cfg.MaxLarge, cfg.LargeWait), room: engine.NewRoom(cfg.MaxKeptByAll), cancels: cancels{limit: cancelkey.NewLimit(cfg.Now), random: rand.Reader}}
}

// Serve implements engine.Engine.
func (e *Engine) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	start, err := readRequest(ctx, client, s)
	if err != nil {
		return e.turnAway(ctx, client, s, start, err)
	}
	if start.cancel != nil {
		start.cancel.ClientAddress, start.cancel.Request = s.ClientAddr(), cancelkey.NewID()
		e.serveCancel(ctx, *start.cancel)
		return nil
	}
	up, err := s.Open(ctx, start.want)
	if err != nil {
		return sayNo(ctx, client, err)
	}
	b, err := logIn(ctx, up, &start)
	if err != nil {
		return sayNo(ctx, client, err)
	}
	return e.relay(ctx, client, s, &start, b)
}

// readRequest reads what the client wants. What comes with an error is filled in as far as possible.
func readRequest(ctx context.Context, client net.Conn, s *session.Session) (startup, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startupTimeout,
		fault.New(fault.ConnectionProblem, "the client did not say what it wants within %s", startupTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })
	packet, err := readStartup(client)
	if !stop() {
		return startup{}, context.Cause(ctx)
	}
	if err != nil {
		return startup{}, fmt.Errorf("reading the startup message: %w", err)
	}
	return parseStartup(packet, s.Identity().Route)
}

// turnAway refuses a client whose request cannot be read or is against policy. Either is recorded.
func (e *Engine) turnAway(ctx context.Context, client net.Conn, s *session.Session, start startup, err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	if bad, ok := errors.AsType[*malformedStartup](err); ok {
		if _, recordErr := s.Record(ctx, &audit.MalformedPacket{Payload: bad.packet}); recordErr != nil {
			return errors.Join(err, recordErr)
		}
	} else if _, ok := errors.AsType[*ending](err); ok {
		err = s.Refuse(start.want, err)
	}
	return sayNo(ctx, client, err)
}

// sayNo ends a visit before the relay, and returns why. An error message of the database goes to the client as it
// is.
func sayNo(ctx context.Context, client net.Conn, cause error) error {
	message := pgwire.Fatal(stateOf(cause), fault.Message(cause))
	if refused, ok := errors.AsType[*refusedLogin](cause); ok {
		message = refused.message
	} else if ctx.Err() != nil {
		cause = context.Cause(ctx)
		message = pgwire.Fatal(stateAdminShutdown, fault.Message(cause))
	}
	_ = client.SetWriteDeadline(time.Now().Add(goodbyeTime))
	if _, err := client.Write(message); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// relay welcomes the client and serves it to its end.
func (e *Engine) relay(ctx context.Context, client net.Conn, s *session.Session, start *startup, b *backend) error {
	s.SetBackend(uint64(b.key.processID))
	welcome, err := negotiate(start)
	if err != nil {
		return err
	}
	welcome = append(welcome, frameOf(beAuthentication, make([]byte, 4))...)
	welcome = append(welcome, b.reports...)
	var key *cancellable
	if !b.key.empty() {
		if key, err = e.cancels.register(ctx, s, b.key); err != nil {
			return sayNo(ctx, client, err)
		}
		defer e.cancels.remove(key)
		message, err := (&pgproto3.BackendKeyData{ProcessID: key.real.processID, SecretKey: key.secret[:]}).Encode(nil)
		if err != nil {
			return err
		}
		welcome = append(welcome, message...)
	}
	welcome = append(welcome, b.ready...)
	b.reports, b.ready = nil, nil
	r := newRelay(ctx, e, client, s, b)
	r.key = key
	if err := engine.Welcome(ctx, client, s, welcome); err != nil {
		return err
	}
	return r.run()
}

// negotiate tells a client of a newer protocol, or with options we do not have, what it has to do without.
func negotiate(start *startup) ([]byte, error) {
	if start.minor == 0 && len(start.unknown) == 0 {
		return nil, nil
	}
	return (&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: protocol30, UnrecognizedOptions: start.unknown}).Encode(nil)
}

// stopRunning cancels a statement that nobody waits for any more: the database would not notice.
func (e *Engine) stopRunning(ctx context.Context, key *cancellable) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
	defer cancel()
	conn, err := key.dial(ctx)
	if err != nil {
		return // the database is gone, and the statement with it
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := sendCancel(conn, key.real); err != nil {
		e.cfg.Logger.Warn("a statement goes on after its session", "sid", key.session.ID(), "error", err)
	}
}
