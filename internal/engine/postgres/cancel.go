package postgres

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cancelkey"
	"sallyport/internal/fault"
	"sallyport/internal/pgwire"
	"sallyport/internal/session"
)

const (
	cancelTimeout = 10 * time.Second
	secretSize    = 4 // of protocol 3.0
)

// cancels knows the keys that clients hold. The process id in a key is the database's own, because clients see
// it elsewhere too; the secret is ours. Safe for concurrent use.
type cancels struct {
	limit  *cancelkey.Limit
	random io.Reader

	mu   sync.Mutex
	keys map[uint32][]*cancellable // by process id; guarded by mu
}

// cancellable is a session whose running statement can be cancelled.
type cancellable struct {
	secret  [secretSize]byte
	real    backendKey
	session *session.Session
	ctx     context.Context // ends with the session
	end     context.CancelFunc
	recent  cancelkey.Recent // requests; guarded by cancels.mu
	running sync.WaitGroup   // cancel requests under way; added to under cancels.mu
}

// register gives a session a key.
func (c *cancels) register(ctx context.Context, s *session.Session, key backendKey) (*cancellable, error) {
	entry := &cancellable{real: key, session: s}
	if _, err := io.ReadFull(c.random, entry.secret[:]); err != nil {
		return nil, fmt.Errorf("making a cancel key: %w", err)
	}
	entry.ctx, entry.end = context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[uint32][]*cancellable)
	}
	c.keys[key.processID] = append(c.keys[key.processID], entry)
	return entry, nil
}

// remove forgets a session, and returns when no cancel request uses it any more.
func (c *cancels) remove(entry *cancellable) {
	c.mu.Lock()
	id := entry.real.processID
	left := slices.DeleteFunc(c.keys[id], func(e *cancellable) bool { return e == entry })
	if c.keys[id] = left; len(left) == 0 {
		delete(c.keys, id)
	}
	c.mu.Unlock()
	entry.end()
	entry.running.Wait()
}

// find returns the session of a key, to be released with running.Done, or nil. Again says that the same request has
// found it before, by way of another proxy.
func (c *cancels) find(key cancelkey.Key) (entry *cancellable, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range c.keys[key.ProcessID] {
		if subtle.ConstantTimeCompare(entry.secret[:], key.Secret) == 1 {
			entry.running.Add(1)
			return entry, entry.recent.Seen(key.Request)
		}
	}
	return nil, false
}

// FindCancel implements engine.Canceller. Whoever passes the key on counts guesses: the key may be another agent's.
func (e *Engine) FindCancel(key cancelkey.Key) func(context.Context) {
	if !e.cancels.limit.Allow(key.ClientAddress) {
		return nil
	}
	return e.find(key)
}

// CancelFound implements engine.Canceller.
func (e *Engine) CancelFound(request cancelkey.ID) { e.cancels.limit.Known(request) }

// find returns what cancels the statement of a key's session, to be called once; nil for an unknown key.
func (e *Engine) find(key cancelkey.Key) func(context.Context) {
	entry, again := e.cancels.find(key)
	if entry == nil {
		return nil
	}
	return func(ctx context.Context) {
		defer entry.running.Done()
		if again {
			return // the next statement may run by now
		}
		ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
		defer cancel()
		defer context.AfterFunc(entry.ctx, cancel)()
		if err := entry.cancel(ctx, key.ClientAddress); err != nil {
			e.cfg.Logger.Warn("cancel request failed", "sid", entry.session.ID(), "error", err)
		}
	}
}

// serveCancel handles a cancel request in place of a login. As in PostgreSQL it is not answered.
func (e *Engine) serveCancel(ctx context.Context, key cancelkey.Key) {
	if !e.cancels.limit.Ask(key) {
		return
	}
	if cancel := e.find(key); cancel != nil {
		e.cancels.limit.Known(key.Request)
		cancel(ctx)
	} else if e.cfg.ForwardCancel != nil {
		e.cfg.ForwardCancel(key)
	}
}

// cancel asks the database to cancel what the session runs, for whoever is at the address.
func (c *cancellable) cancel(ctx context.Context, address string) error {
	event := &audit.PostgresCancel{ConnectionMeta: audit.ConnectionMeta{RemoteAddr: address}, PID: c.real.processID}
	conn, err := c.dial(ctx)
	if err != nil {
		event.Error, event.Message = err.Error(), fault.Message(err)
		_, _ = c.session.Record(ctx, event)
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	event.Success = true
	if _, err := c.session.Record(ctx, event); err != nil {
		return err
	}
	return sendCancel(conn, c.real)
}

// dial opens TLS to the database. Closing the connection closes what it stands on.
func (c *cancellable) dial(ctx context.Context) (net.Conn, error) {
	up, err := c.session.DialAgain(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = up.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := requestTLS(up); err != nil {
		_ = up.Conn.Close()
		return nil, err
	}
	conn, err := up.StartTLS(ctx)
	if err != nil {
		_ = up.Conn.Close()
		return nil, err
	}
	return conn, nil
}

// sendCancel sends the request and waits until the database has taken it, which it shows by hanging up.
func sendCancel(conn net.Conn, key backendKey) error {
	if _, err := conn.Write(pgwire.CancelRequest(key.processID, key.secret)); err != nil {
		return fmt.Errorf("sending the cancel request: %w", err)
	}
	_, _ = conn.Read(make([]byte, 1))
	return nil
}
