package redis

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

const (
	renewEarly = 6 // which part of a login's time is left when it is renewed
	renewAgain = time.Minute
)

// renewal keeps connections logged in whose login runs out: AUTH is sent again between the client's commands, and its
// reply kept from the client.
type renewal struct {
	due      atomic.Bool
	password string        // to be sent, while that is due; guarded by the relay's mu
	done     chan struct{} // holds a token when the database has let the account in again
	until    atomic.Int64  // when the database ends the connection, in nanoseconds; 0 is never
}

// secret returns the password that opens the account in another connection, or anew in the same.
func (v *visit) secret(ctx context.Context, up *session.Upstream) (string, error) {
	if !v.opened || up.Renew == nil {
		return v.passwordOf(up), nil
	}
	return up.Renew(ctx)
}

func (v *visit) passwordOf(up *session.Upstream) string {
	if v.opened {
		return up.Password
	}
	return v.password
}

// keepLogin gets a new password each time before the login runs out, and has it sent, until the relay ends.
func (r *relay) keepLogin() {
	up := r.server.up
	if !r.opened || up.Renew == nil || up.Lasts == 0 {
		return
	}
	early := up.Lasts - up.Lasts/renewEarly
	again := min(renewAgain, up.Lasts/(2*renewEarly))
	r.lasts(up.Lasts - up.Lasts/100)
	timer := time.NewTimer(early)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			// One that could not be sent may have run out, so there is a new one for each attempt.
			if password, err := up.Renew(r.ctx); err == nil {
				r.offer(password)
			} else if r.ctx.Err() == nil {
				r.engine.cfg.Logger.Warn("the login to the database cannot be renewed yet", "sid", r.session.ID(), "reason", fault.Message(err), "error", err)
			}
			timer.Reset(again)
		case <-r.renewal.done:
			r.lasts(up.Lasts - up.Lasts/100)
			timer.Reset(early)
		case <-r.ctx.Done():
			return
		}
	}
}

// lasts notes when the database ends the connection, or a little earlier.
func (r *relay) lasts(life time.Duration) {
	r.renewal.until.Store(r.engine.cfg.Now().Add(life).UnixNano())
}

// offer leaves a password to be sent, and wakes the goroutine that may send it.
func (r *relay) offer(password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewal.password = password
	r.renewal.due.Store(true)
	if r.ctx.Err() == nil {
		_ = r.client.SetReadDeadline(time.Unix(1, 0))
	}
}

// woken reports whether the error of a read from the client only says that there is something else to do.
func (r *relay) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil { // interrupt has set the deadline, or will
		return false
	}
	_ = r.client.SetReadDeadline(time.Time{})
	return true
}

// renew logs in again if that is due and possible now. Otherwise there is another attempt soon.
func (r *relay) renew() error {
	if !r.renewal.due.Load() || r.fromClient.multi {
		return nil
	}
	r.mu.Lock()
	password, idle := r.renewal.password, r.requests.Len() == 0
	possible := r.takesAuth() && (r.cluster == nil || idle)
	if possible {
		r.renewal.password = ""
		r.renewal.due.Store(false)
	}
	r.mu.Unlock()
	if !possible {
		return nil
	}
	if r.cluster != nil {
		if err := r.tellOthers(login, []string{"AUTH", r.server.up.User, password}); err != nil {
			return err
		}
	}
	// The answer is not waited for: a command that blocks may be running before it.
	r.push(request{role: renewed, own: true, to: r.fromClient.current, began: r.engine.cfg.Now(), answer: make(chan string, 1)})
	return r.write(resp.AppendCommand(nil, "AUTH", r.server.up.User, password))
}

// takesAuth reports whether the database takes AUTH in its turn. To subscribers of version 2 of the protocol it answers
// no other commands than those about subscriptions. It is called under the lock.
func (r *relay) takesAuth() bool {
	if r.proto.Load() != 2 {
		return true
	}
	for _, n := range r.nodes {
		if n.listening.Load() {
			return false
		}
	}
	for _, q := range r.requests.Waiting() {
		if q.role == subscribe || q.role == hello {
			return false
		}
	}
	return true
}

// answered notes what the database says to a renewed login. If it refuses, there is another attempt soon.
func (n *renewal) answered(answer string) {
	if answer == "+OK" {
		select {
		case n.done <- struct{}{}:
		default:
		}
	}
}

// tooLate returns why the database ended a connection whose login has run out, or nil.
func (r *relay) tooLate() error {
	until := r.renewal.until.Load()
	if until == 0 || r.engine.cfg.Now().UnixNano() < until {
		return nil
	}
	return fault.New(fault.ConnectionProblem,
		"the database ends connections %s after the login, and this one could not be logged in again meanwhile: it was within a transaction, waited for one command, or had subscribed in version 2 of the protocol; connect again, and subscribe with HELLO 3",
		r.server.up.Lasts)
}
