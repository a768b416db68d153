// Package session is one user's visit to one database, and the only way to a database: nothing is dialled
// before the rules were asked and the start was recorded.
package session

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/audit/spool"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// Journal is where events are kept until the audit log has them.
type Journal interface {
	Append(line []byte) (spool.Pos, error)
	Sync(ctx context.Context, upTo spool.Pos) error
}

// Config is what a session is made of. All fields must be set unless stated.
type Config struct {
	ID              string // UUIDv4
	Cluster         string
	Identity        *identity.Identity
	UserCertificate []byte             // PEM, verified
	Database        *resource.Database // labels merged
	CheckName       bool               // the protocol enforces db_names
	// Decide asks the rules as they are at that moment.
	Decide func(access.Target) access.Decision
	// Denied returns the commands that the rules deny at that moment.
	Denied  func() access.Commands
	Options access.SessionOptions
	// Refusal is why this visit cannot be, decided before it began: a lock, an expired certificate. Nil
	// otherwise. Open returns it, so that the client reads it in its own protocol.
	Refusal error
	// Crowded says that Refusal is only that the user has too many connections.
	Crowded bool
	Journal Journal
	// StartAtAuth makes the start durable at the auth server too, where the cluster wants that; may be nil.
	StartAtAuth func(ctx context.Context) error
	Strict      bool   // statements are durable before they are forwarded
	Tally       *Tally // of all sessions of its kind; may be nil
	UIDs        *audit.UIDs
	Server      audit.ServerMeta
	ClientAddr  string // host:port as the proxy saw it
	LocalAddr   string
	Credentials cred.Source
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Now         func() time.Time
	// End ends the session's context with a cause.
	End context.CancelCauseFunc
}

// Session is one visit. Its methods are safe for concurrent use, except that Open is called once.
type Session struct {
	cfg Config

	mu    sync.Mutex   // orders events
	chain *audit.Chain // guarded by mu
	line  []byte       // guarded by mu
	last  spool.Pos    // guarded by mu

	account  string // in the database; set by Open
	asked    string // the logical database; likewise
	allowed  allowed
	denied   denied
	opened   bool // by the goroutine that serves
	started  time.Time
	upstream net.Conn
	way      way

	statements   atomic.Int64
	sent         atomic.Int64 // to the client, bytes
	received     atomic.Int64 // from the client, bytes
	backend      atomic.Uint64
	lastActivity atomic.Int64 // Unix nanoseconds
	working      atomic.Bool
}

// New returns a session; nothing is recorded or dialled yet.
func New(cfg Config) (*Session, error) {
	db := cfg.Database
	chain, err := audit.NewChain(audit.ChainConfig{
		ClusterName: cfg.Cluster,
		UIDs:        cfg.UIDs,
		User:        audit.UserMeta{User: cfg.Identity.Name, Impersonator: cfg.Identity.Impersonator, Kind: audit.UserHuman, Roles: cfg.Identity.Roles},
		Session:     audit.SessionMeta{SID: cfg.ID, WithMFA: cfg.Identity.MFADevice},
		Database: audit.DatabaseMeta{
			Service: db.GetName(), Protocol: db.Spec.Protocol, URI: db.Spec.URI, Type: db.Type(), Origin: db.Origin(),
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Session{cfg: cfg, chain: chain, way: way{database: db, dialer: cfg.Dial}}
	s.Active()
	return s, nil
}

// ID returns the session's id.
func (s *Session) ID() string { return s.cfg.ID }

// Identity returns who visits. It must not be changed.
func (s *Session) Identity() *identity.Identity { return s.cfg.Identity }

// Database returns what is visited. It must not be changed.
func (s *Session) Database() *resource.Database { return s.cfg.Database }

// UseName notes that the client has changed to another logical database: the events to come name that.
func (s *Session) UseName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chain.SetName(name)
}

// ClientAddr returns the client's address, "host:port".
func (s *Session) ClientAddr() string { return s.cfg.ClientAddr }

// Options returns what the user's roles say about sessions.
func (s *Session) Options() access.SessionOptions { return s.cfg.Options }

// OnlyCrowded reports whether the visit is refused only because the user has so many others: the rules, which are asked, allow it. It may
// still end what those are doing, and for that it is not opened.
func (s *Session) OnlyCrowded(want Want) bool { return s.cfg.Crowded && s.permit(want) == nil }

// Active notes that the client did something, for the idle limit.
func (s *Session) Active() { s.lastActivity.Store(s.cfg.Now().UnixNano()) }

// Working notes that the database has something to do for the client, or nothing any more. As long as it has, the
// session is not idle. Only a change counts, so that it may be told what it has been told already.
func (s *Session) Working(working bool) {
	if s.working.Load() == working {
		return
	}
	if !working {
		s.Active()
	}
	s.working.Store(working)
}

// LastActivity returns when the client last did something, or was answered: now, while the database works for it.
func (s *Session) LastActivity() time.Time {
	if s.working.Load() {
		return s.cfg.Now()
	}
	return time.Unix(0, s.lastActivity.Load())
}

// Count adds to the bytes that went to and came from the client. The latter are activity; the former may be told
// without being asked for.
func (s *Session) Count(sent, received int) {
	if sent > 0 {
		s.sent.Add(int64(sent))
	}
	if received > 0 {
		s.received.Add(int64(received))
		s.Active()
	}
}

// SetBackend notes the database's own number of the connection.
func (s *Session) SetBackend(number uint64) { s.backend.Store(number) }

// refusedPayload is how many bytes are kept of a malformed packet of a visitor who is refused whatever it says: it may come for the sake
// of filling the log.
const refusedPayload = 64

// Record keeps an event of the session, before what it tells of is forwarded, and returns its index. When
// it cannot be kept the session ends, and the caller must not go on.
func (s *Session) Record(ctx context.Context, event audit.SessionEvent) (index int64, err error) {
	if m, ok := event.(*audit.MalformedPacket); ok && s.cfg.Refusal != nil {
		event = &audit.MalformedPacket{Payload: m.Payload[:min(len(m.Payload), refusedPayload)], Error: m.Error}
	}
	index, at, err := s.append(event)
	if err == nil && s.cfg.Strict {
		err = s.cfg.Journal.Sync(ctx, at)
	}
	if err != nil {
		err = errAudit(err)
		s.cfg.End(err)
		return 0, err
	}
	s.cfg.Tally.count(event)
	switch event := event.(type) {
	case *audit.DatabaseQuery:
		s.statements.Add(int64(max(event.Commands, 1)))
	case *audit.PostgresFunction, *audit.MySQLBulkExecute:
		s.statements.Add(1)
	}
	return index, nil
}

func (s *Session) append(event audit.SessionEvent) (index int64, at spool.Pos, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	index = s.chain.Next()
	if s.line, err = s.chain.Append(s.line[:0], event, s.cfg.Now()); err != nil {
		return 0, 0, err
	}
	if at, err = s.cfg.Journal.Append(s.line); err != nil {
		s.chain.Rewind()
		return 0, 0, err
	}
	s.last = at
	if cap(s.line) > maxKeptLine {
		s.line = nil // an idle session keeps no large buffer
	}
	return index, at, nil
}

const maxKeptLine = 16 << 10

// Abort breaks the connection to the database off without a goodbye, so that the database learns at once that nobody
// waits for an answer. Safe for concurrent use once Open has returned; Close is still to be called.
func (s *Session) Abort() {
	if s.upstream == nil {
		return
	}
	if tcp, ok := s.upstream.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = s.upstream.Close()
}

// Close ends the visit: it closes the connection to the database and records the end, with the reason
// and the first real error, if the start was allowed. The caller calls it once, when nothing else uses
// the session.
func (s *Session) Close(reason string, cause error) error {
	var err error
	if s.upstream != nil {
		if err = s.upstream.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	if s.started.IsZero() {
		return err
	}
	event := &audit.DatabaseSessionEnd{
		ServerMeta: s.cfg.Server, Start: s.started, Stop: s.cfg.Now(), Reason: reason,
		BytesSent: s.sent.Load(), BytesReceived: s.received.Load(), Statements: s.statements.Load(),
	}
	if s.cfg.Database.Spec.Protocol == resource.ProtocolPostgres {
		event.PostgresPID = uint32(s.backend.Load())
	} else {
		event.ConnectionID = s.backend.Load()
	}
	if cause != nil {
		event.Error = cause.Error()
	}
	return errors.Join(err, s.appendEnd(event))
}

// Unrecorded is the error of Close when the journal does not take the session's end now. Nothing follows an end, so
// that the line may be appended as it is later.
type Unrecorded struct {
	Line []byte
	Err  error
}

func (e *Unrecorded) Error() string { return e.Err.Error() }

func (e *Unrecorded) Unwrap() error { return e.Err }

func (s *Session) appendEnd(event *audit.DatabaseSessionEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, err := s.chain.Append(nil, event, s.cfg.Now())
	if err != nil {
		return err
	}
	if _, err = s.cfg.Journal.Append(line); err != nil {
		return &Unrecorded{Line: line, Err: err}
	}
	return nil
}

// errAudit tells a client that nothing goes on because it could not be recorded.
func errAudit(cause error) error {
	return fault.Wrap(fault.LimitExceeded, cause, "audit is unavailable, so the session cannot go on; tell an administrator: %s", fault.Message(cause))
}
