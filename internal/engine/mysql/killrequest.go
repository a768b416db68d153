package mysql

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/cancelkey"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const askedTime = 2 * time.Second // other agents answer at once when they know a session

// killRequests are requests to kill that wait for an agent that knows the session. It is safe for concurrent use.
type killRequests struct {
	limit *cancelkey.Limit

	mu      sync.Mutex
	waiting map[cancelkey.ID]chan struct{} // closed when one does; guarded by mu
}

func (k *killRequests) await(request cancelkey.ID) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting == nil {
		k.waiting = make(map[cancelkey.ID]chan struct{})
	}
	known := make(chan struct{})
	k.waiting[request] = known
	return known
}

func (k *killRequests) forget(request cancelkey.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.waiting, request)
}

// found ends the waiting of a request.
func (k *killRequests) found(request cancelkey.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.waiting[request]; known != nil {
		close(known)
		delete(k.waiting, request)
	}
}

// CancelFound implements engine.Canceller.
func (e *Engine) CancelFound(request cancelkey.ID) {
	e.killRequests.limit.Known(request)
	e.killRequests.found(request)
}

// FindCancel implements engine.Canceller: it is how other agents ask for a kill.
func (e *Engine) FindCancel(key cancelkey.Key) func(context.Context) {
	if len(key.Secret) != tagSize || !e.killRequests.limit.Allow(key.Source()) {
		return nil
	}
	kill := e.threads.prepareKill(key)
	if kill == nil {
		return nil
	}
	return func(ctx context.Context) {
		if err := kill(ctx); err != nil {
			e.cfg.Logger.Warn("a session was not killed", "error", err)
		}
	}
}

// requestKill kills a session of the same user at the same database, at this agent or another one. It reports false if no
// agent knows it, or the user has asked for too many that nobody knows. An error is of this agent's own
// attempt: others tell that they try.
func (e *Engine) requestKill(ctx context.Context, s *session.Session, shown uint32, how killing) (found bool, err error) {
	key := cancelkey.Key{
		Protocol: resource.ProtocolMySQL, ProcessID: shown, Secret: ownerOf(s).tag(how), ClientAddress: s.ClientAddr(), Request: cancelkey.NewID()}
	if kill := e.threads.prepareKill(key); kill != nil {
		return true, kill(ctx)
	}
	if e.cfg.ForwardCancel == nil || !e.killRequests.limit.Ask(key) {
		return false, nil
	}
	known := e.killRequests.await(key.Request)
	defer e.killRequests.forget(key.Request)
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
