package agent

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const monitorEvery = time.Second

// sessions are the live ones.
type sessions struct {
	mu     sync.Mutex
	all    map[*live]struct{} // guarded by mu
	byUser map[string]int     // connections, by user; guarded by mu
	idle   sync.WaitGroup
}

// take counts a connection of a user and returns how many there are now. Each is given back with release.
func (s *sessions) take(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUser == nil {
		s.byUser = make(map[string]int)
	}
	s.byUser[user]++
	return s.byUser[user]
}

func (s *sessions) release(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUser[user]--; s.byUser[user] <= 0 {
		delete(s.byUser, user)
	}
}

// live is a running session as the monitor sees it.
type live struct {
	session  *session.Session
	identity *identity.Identity
	expires  time.Time
	end      context.CancelCauseFunc
}

func (s *sessions) enter(l *live) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*live]struct{})
	}
	s.all[l] = struct{}{}
	s.idle.Add(1)
	return func() {
		s.mu.Lock()
		delete(s.all, l)
		s.mu.Unlock()
		s.idle.Done()
	}
}

// await has the agent wait for somebody who is none of the sessions, until done is called.
func (s *sessions) await() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.Add(1)
	return s.idle.Done
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *sessions) snapshot() []*live {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*live, 0, len(s.all))
	for l := range s.all {
		all = append(all, l)
	}
	return all
}

// wait returns when no session is left. When the context ends it ends them.
func (s *sessions) wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		for _, l := range s.snapshot() {
			l.end(errStopping)
		}
	})
	defer stop()
	s.idle.Wait()
}

var errStopping = fault.New(fault.ConnectionProblem, "the service is stopping; connect again")

// monitor ends sessions whose user was locked, whose certificate ran out or that were idle for too long.
func (a *Agent) monitor(ctx context.Context) {
	ticker := time.NewTicker(monitorEvery)
	defer ticker.Stop()
	for {
		changed := a.Cache.Changed()
		for _, l := range a.sessions.snapshot() {
			if cause := a.overdue(l); cause != nil {
				l.end(cause)
			}
		}
		a.writeLate()
		for _, event := range a.refused.dueEvents(a.Now()) {
			a.record(event)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-ticker.C:
		}
	}
}

// admit counts a visitor's connection and returns the refusal if it is one more than the user's roles allow
// at this agent. It is recorded when a session is asked for: a request to cancel comes in a connection too. The caller
// releases it.
func (a *Agent) admit(v *visit) error {
	limit := a.options(v.id).MaxConnections
	if n := a.sessions.take(v.id.Name); limit == 0 || n <= limit {
		return nil
	}
	v.crowded = &audit.SessionRejected{
		UserMeta: v.userMeta(), ServerMeta: a.serverMeta(),
		ConnectionMeta: audit.ConnectionMeta{LocalAddr: v.dispatch.ListenerAddress, RemoteAddr: v.dispatch.ClientAddress},
		Reason:         "max_connections limit reached", Maximum: int64(limit),
	}
	return fault.New(fault.LimitExceeded, "your roles allow %d database connections at a time and so many are open; close one and try again", limit)
}

// overdue returns why a session must end now, or nil.
func (a *Agent) overdue(l *live) error {
	if err := a.lockedOut(l.identity); err != nil {
		return err
	}
	if err := a.auditOutage(); err != nil {
		return err
	}
	options := a.options(l.identity)
	now := a.Now()
	if options.DisconnectExpiredCert && now.After(l.expires) {
		return mtls.Expired(l.expires, nil)
	}
	if limit := options.ClientIdleTimeout; limit > 0 && now.Sub(l.session.LastActivity()) > limit {
		idle := fault.New(fault.LimitExceeded, "the session was idle for more than %s", limit)
		if network, ok := cache.Get[*resource.NetworkingConfig](a.Cache, resource.KindNetworkingConfig, resource.NameNetworkingConfig); ok && network.Spec.IdleTimeoutMessage != "" {
			return fault.Wrap(fault.LimitExceeded, idle, "%s", network.Spec.IdleTimeoutMessage)
		}
		return idle
	}
	return nil
}

// recordDisconnect records that we ended a session that the user would have gone on with, late if its end is.
func (a *Agent) recordDisconnect(ctx context.Context, l *live, v *visit, isLate bool) {
	cause := context.Cause(ctx)
	if cause == nil || fault.KindOf(cause) == fault.Internal {
		return
	}
	event := &audit.ClientDisconnect{
		UserMeta: v.userMeta(), SessionMeta: audit.SessionMeta{SID: l.session.ID()},
		ServerMeta:     a.serverMeta(),
		ConnectionMeta: audit.ConnectionMeta{LocalAddr: v.dispatch.ListenerAddress, RemoteAddr: v.dispatch.ClientAddress},
		Reason:         cutReason(cause),
	}
	if isLate {
		if line, err := a.encoder.Append(nil, event, a.Now()); err == nil {
			a.late.keep(line)
			return
		}
	}
	a.record(event)
}

// record keeps an event outside sessions.
func (a *Agent) record(event audit.Event) {
	line, err := a.encoder.Append(nil, event, a.Now())
	if err == nil {
		_, err = a.Spool.Append(line)
	}
	if err != nil {
		a.Logger.Error("event was not recorded", "event", event.Type(), "error", err)
	}
}
