package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cancelkey"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const (
	killTime  = 10 * time.Second
	askedTime = 2 * time.Second // other agents answer at once when they know a session
)

// killers are requests to kill that wait for an agent that knows the session. It is safe for concurrent use.
type killers struct {
	limit *cancelkey.Limit

	mu      sync.Mutex
	waiting map[cancelkey.ID]chan struct{} // closed when one does; guarded by mu
}

func (k *killers) await(request cancelkey.ID) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting == nil {
		k.waiting = make(map[cancelkey.ID]chan struct{})
	}
	found := make(chan struct{})
	k.waiting[request] = found
	return found
}

func (k *killers) forget(request cancelkey.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.waiting, request)
}

// CancelFound implements engine.Canceller.
func (e *Engine) CancelFound(request cancelkey.ID) {
	e.killers.limit.Known(request)
	e.killers.mu.Lock()
	defer e.killers.mu.Unlock()
	if found := e.killers.waiting[request]; found != nil {
		close(found)
		delete(e.killers.waiting, request)
	}
}

// FindCancel implements engine.Canceller.
func (e *Engine) FindCancel(key cancelkey.Key) func(context.Context) {
	if len(key.Secret) != secretSize || !e.killers.limit.Allow(key.ClientAddress) {
		return nil
	}
	kill := e.find(key)
	if kill == nil {
		return nil
	}
	return func(ctx context.Context) {
		if err := kill(ctx); err != nil {
			e.cfg.Logger.Warn("a session was not killed", "error", err)
		}
	}
}

// find returns what kills the session of a key, to be called once; nil for an unknown key.
func (e *Engine) find(key cancelkey.Key) func(context.Context) error {
	n, how, again := e.threads.take(key)
	if n == nil {
		return nil
	}
	return func(ctx context.Context) error {
		defer n.running.Done()
		if again {
			return nil // the next statement may run by now
		}
		return n.killFor(ctx, how, key.ClientAddress)
	}
}

// killFor ends what the session does, for whoever is at the address.
func (n *thread) killFor(ctx context.Context, how killing, address string) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	defer context.AfterFunc(n.relay.ctx, cancel)()
	event := &audit.MySQLProcessKill{ConnectionMeta: audit.ConnectionMeta{RemoteAddr: address}, ProcessID: n.relay.number}
	if _, err := n.session.Record(ctx, event); err != nil {
		return err
	}
	return n.relay.kill(ctx, how)
}

// killFor kills a session of the same user at the same database, at this agent or another one. It reports false if no
// agent knows it, or the user's address has asked for too many that nobody knows. An error is of this agent's own
// attempt: others tell that they try.
func (e *Engine) killFor(ctx context.Context, s *session.Session, shown uint32, how killing) (found bool, err error) {
	key := cancelkey.Key{
		Protocol: resource.ProtocolMySQL, ProcessID: shown, Secret: whoseIs(s).secret(how), ClientAddress: s.ClientAddr(), Request: cancelkey.NewID()}
	known := e.killers.await(key.Request)
	defer e.killers.forget(key.Request)
	if !e.killers.limit.Ask(key) {
		return false, nil
	}
	if kill := e.find(key); kill != nil {
		e.killers.limit.Known(key.Request)
		return true, kill(ctx)
	}
	if e.cfg.ForwardCancel == nil {
		return false, nil
	}
	e.cfg.ForwardCancel(key)
	patience := time.NewTimer(askedTime)
	defer patience.Stop()
	select {
	case <-known:
		return true, nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return false, nil
}

// errorOfKill puts why a session was not killed into the protocol.
func errorOfKill(err error) *mysqlwire.ServerError {
	if refused, ok := errors.AsType[*mysqlwire.ServerError](err); ok {
		return refused
	}
	return &mysqlwire.ServerError{Code: errUnknown.code, State: errUnknown.state, Message: fit(fault.Message(err))}
}

func isKilled(err error) bool {
	refused, ok := errors.AsType[*mysqlwire.ServerError](err)
	return ok && refused.Code == errNoThread.code
}

// serveKiller serves a connection beyond those that the user's roles allow, while another one of them has a statement
// running: it may stop that, as clients do when their user presses Ctrl-C, and nothing else. Nothing is dialled for it. What
// it kills is recorded in the session that is killed.
func (e *Engine) serveKiller(ctx context.Context, d *dialogue, s *session.Session, want session.Want) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startupTimeout,
		fault.New(fault.ConnectionProblem, "the client did not say what it wants within %s", startupTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := d.send(mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)); err != nil {
		return &departure{err}
	}
	for {
		d.sequence = 0
		payload, err := d.receive(maxFirst, 0)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isGone(err):
			return &departure{err}
		case err == nil && len(payload) > 0 && mysqlwire.Command(payload[0]) == mysqlwire.ComQuit:
			return nil
		}
		shown, how := killOf(payload)
		if how == 0 {
			d.sequence = 1
			if _, err = s.Open(ctx, want); err == nil {
				err = errOnlyKills
			}
			return d.sayNo(ctx, err)
		}
		if err := d.send(e.answerToKill(ctx, s, shown, how)); err != nil {
			return &departure{err}
		}
	}
}

const maxFirst = 16 << 10 // of a command to such a connection

var errOnlyKills = errors.New("a connection that may only kill wanted something else")

// killOf returns which of our numbers a command kills, and how; 0 if it does not.
func killOf(payload []byte) (shown uint32, how killing) {
	if len(payload) == 0 {
		return 0, 0
	}
	switch command, body := mysqlwire.Command(payload[0]), payload[1:]; command {
	case mysqlwire.ComQuery:
		if k, ok := parseKill(body); ok {
			return uint32(k.number), k.how
		}
	case mysqlwire.ComProcessKill:
		if len(body) == 4 && isShown(uint64(binary.LittleEndian.Uint32(body))) {
			return binary.LittleEndian.Uint32(body), killConnection
		}
	}
	return 0, 0
}

func (e *Engine) answerToKill(ctx context.Context, s *session.Session, shown uint32, how killing) []byte {
	found, err := e.killFor(ctx, s, shown, how)
	switch {
	case !found:
		unknown := mysqlwire.ServerError{Code: errNoThread.code, State: errNoThread.state, Message: fmt.Sprintf("Unknown thread id: %d", shown)}
		return unknown.Append(nil)
	case err != nil:
		return errorOfKill(err).Append(nil)
	default:
		return mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)
	}
}
