// Package mongodb is the engine for MongoDB and what speaks its protocol: it logs clients in to the database with the
// account that was authorised, checks every logical database that a command names, records each command before it is
// passed on, and its outcome before the client reads it.
//
// Commands go on as the very bytes that were read and recorded. The exception is hello, by which clients and servers
// agree on what they may do: it is made anew from what is understood of it, in both directions, so that neither
// compression nor another login can be agreed on. What is not understood is not sent on.
package mongodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

const (
	firstTimeout = 30 * time.Second
	maxFirst     = 64 << 10 // bytes of the first message, before the session is opened
)

// Config is what an Engine is made of. Now and Logger must be set.
type Config struct {
	Now    func() time.Time
	Logger *slog.Logger
	// LookupSRV and LookupTXT ask the name server, for mongodb+srv URIs; nil for those of the system.
	LookupSRV func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// MaxLarge bounds the bytes that messages of more than a mebibyte, with their texts, of all sessions together may
	// take; 0 means 512 MiB. Who has room must go on within LargeWait, 0 meaning 30 seconds; what finds none
	// waits half as long again, and then its session ends. See engine.Budget.
	MaxLarge  int
	LargeWait time.Duration
}

// Engine serves clients of MongoDB. It implements engine.Engine and engine.Checker and is safe for concurrent use.
type Engine struct {
	cfg   Config
	pool  inbox.Pool
	large *engine.Budget
}

// New returns an engine without sessions.
func New(cfg Config) *Engine {
	if cfg.LookupSRV == nil {
		cfg.LookupSRV = net.DefaultResolver.LookupSRV
	}
	if cfg.LookupTXT == nil {
		cfg.LookupTXT = net.DefaultResolver.LookupTXT
	}
	return &Engine{cfg: cfg, large: engine.NewBudget(cfg.MaxLarge, cfg.LargeWait)}
}

// Serve implements engine.Engine. Account and logical database are those of the user's certificate: the protocol names no
// account before it logs in, which is our matter.
func (e *Engine) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	in := inbox.New(&e.pool)
	defer in.Release()
	first, err := readFirst(ctx, client, in)
	if err != nil {
		return e.turnAway(ctx, client, s, first, err)
	}
	s.Count(0, in.End)
	want := session.Want{UserAgent: first.userAgent}
	if route := s.Identity().Route; route != nil {
		want.User, want.Name = route.User, route.Database
	}
	want.AnyName = want.Name == ""
	place, err := e.placeOf(s.Database())
	if err != nil {
		return e.refuse(ctx, client, s, in, first, s.Refuse(want, err))
	}
	if len(place.hosts) > 0 {
		want.Seeds = place.seeds
	}
	up, err := s.Open(ctx, want)
	if err != nil {
		return e.refuse(ctx, client, s, in, first, err)
	}
	l, err := logIn(ctx, s, up, place)
	if err != nil {
		return e.refuse(ctx, client, s, in, first, err)
	}
	s.SetBackend(uint64(l.connection))
	r := newRelay(ctx, e, client, l.conn, s, in)
	r.untold.Store(l.connection)
	return r.run()
}

// first is what a client says first. What is known of it is filled in, also with an error.
type first struct {
	asked     asked
	userAgent string
	payload   []byte // that cannot be read
}

// readFirst reads until the first message is complete, and leaves it in the inbox.
func readFirst(ctx context.Context, client net.Conn, in *inbox.Inbox) (first, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, firstTimeout,
		fault.New(fault.ConnectionProblem, "the client said nothing within %s", firstTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })
	f, err := fillFirst(client, in)
	if !stop() {
		return f, context.Cause(ctx)
	}
	return f, err
}

func fillFirst(client net.Conn, in *inbox.Inbox) (f first, err error) {
	for {
		if in.End >= mongowire.HeaderSize {
			h := mongowire.ReadHeader(in.Buf)
			f.asked = asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery}
			if h.Size < mongowire.HeaderSize || h.Size > maxFirst {
				f.payload = in.Buf[:in.End]
				return f, malformed("a first message of %d bytes", h.Size)
			}
			if int(h.Size) <= in.End {
				f.userAgent, err = introduce(in.Buf[:h.Size])
				if err != nil {
					f.payload = in.Buf[:in.End]
					err = malformed("the first message: %w", err)
				}
				return f, err
			}
			in.Expect(int(h.Size))
		}
		if _, err := in.Fill(client, in.End > 0); err != nil {
			if in.End > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return f, fmt.Errorf("reading the first message: %w", err)
		}
	}
}

// introduce returns what the client says it is, and whether its first message can be read.
func introduce(message []byte) (userAgent string, err error) {
	body, err := bodyOf(message)
	if err != nil {
		return "", err
	}
	return clientOf(body), nil
}

// bodyOf returns the command of a whole message.
func bodyOf(message []byte) (mongowire.Document, error) {
	switch h := mongowire.ReadHeader(message); h.Op {
	case mongowire.OpMsg:
		var m mongowire.Msg
		err := m.Parse(message)
		return m.Body, err
	case mongowire.OpQuery:
		q, err := mongowire.ParseQuery(message)
		if err != nil {
			return nil, err
		}
		return unwrap(q.Document), nil
	default:
		return nil, fmt.Errorf("%s", h.Op)
	}
}

// turnAway refuses a client whose first message did not come, or cannot be read, which is recorded.
func (e *Engine) turnAway(ctx context.Context, client net.Conn, s *session.Session, f first, err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	if f.payload != nil {
		if _, recordErr := s.Record(ctx, unread(f.payload)); recordErr != nil {
			return errors.Join(err, recordErr)
		}
	}
	return e.sayNo(ctx, client, f, err)
}

// sayNo ends a visit before the relay, and returns why. The client reads it as the answer to its first message, and may come again.
func (e *Engine) sayNo(ctx context.Context, client net.Conn, f first, cause error) error {
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	if f.asked.id == 0 && !f.asked.legacy {
		return cause // it has asked nothing
	}
	_ = client.SetWriteDeadline(time.Now().Add(goodbyeTime))
	if _, err := client.Write(f.asked.failure(nil, cause)); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
