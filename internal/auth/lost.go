package auth

import (
	"context"
	"errors"
	"time"
)

const (
	// lostAfter is how long after its heartbeat has run out a host may stay away before its sessions are lost.
	lostAfter = time.Minute
	lostEvery = 15 * time.Second
)

// Run looks after the cluster until the context ends.
func (a *Authority) Run(ctx context.Context) error {
	ticker := time.NewTicker(lostEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.EndLostSessions(ctx); err != nil && ctx.Err() == nil {
				a.Logger.Error("ending the sessions of lost agents", "error", err)
			}
		}
	}
}

// EndLostSessions writes the end of each session whose agent is gone: its heartbeat has run out and nothing
// was heard of it for a minute since. Whoever starts a session finds its end in the log, whatever dies.
func (a *Authority) EndLostSessions(ctx context.Context) error {
	open, err := a.Log.OpenSessions(ctx)
	if err != nil {
		return err
	}
	lost := make(map[string]bool) // by host
	var all error
	for _, session := range open {
		gone, known := lost[session.Host]
		if !known {
			if gone, err = a.hostLost(ctx, session.Host); err != nil {
				return err
			}
			lost[session.Host] = gone
		}
		if !gone {
			continue
		}
		a.Logger.Warn("ended a session whose agent is lost", "sid", session.SID, "host_id", session.Host)
		all = errors.Join(all, a.Log.EndLost(ctx, session.SID))
	}
	return all
}

func (a *Authority) hostLost(ctx context.Context, host string) (bool, error) {
	alive, err := a.hostAlive(ctx, host)
	if alive {
		a.hosts.seen(host, a.Now())
	}
	return !alive && a.hosts.silence(host, a.Now()) > lostAfter, err
}
