package mysql

import (
	"context"
	"errors"
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
	limit    *cancelkey.Limit
	patience time.Duration // with visitors who may only kill

	mu      sync.Mutex
	waiting map[cancelkey.ID]chan struct{} // closed when one does; guarded by mu
	visits  map[string]int                 // of users who may only kill, by their names; guarded by mu
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
