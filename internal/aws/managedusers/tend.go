package managedusers

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/fault"
	"sallyport/internal/upkeep"
)

// tend does the next step for a user, and says when it is time for another.
//
// The secret has a current and a previous password, and a tag with the version that was seen to be set. As long as that is
// the current one, the user has both. A change puts a new version, which makes the current one the previous: logins use
// that until the new pair was set, and nothing is changed further before.
func (k *Keeper) tend(ctx context.Context, p *place, id string) {
	k.mu.Lock()
	u := p.users[id]
	if u == nil {
		k.mu.Unlock()
		return
	}
	one, store := *u, p.store
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	wait, err := time.Duration(0), error(nil)
	cfg, err := k.cfg.Credentials.For(ctx, p.key.chain())
	if err == nil {
		var v *vault
		if v, err = k.vault(ctx, p.key, store, &one); err == nil {
			wait, err = k.step(ctx, cfg, p.key.service, v, &one)
		}
	}
	if err != nil {
		wait = troubleWait
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if u = p.users[id]; u == nil || errors.Is(err, context.Canceled) {
		return
	}
	if u.again != one.again { // a database refused its password meanwhile
		one.suspect, wait = true, 0
	}
	u.progress, u.due = one.progress, k.cfg.Now().Add(wait)
	k.tell(p, u, err)
}

// tell logs a trouble once until it changes. The caller holds mu.
func (k *Keeper) tell(p *place, u *user, err error) {
	before := ""
	if u.problem != nil {
		before = fault.Message(u.problem)
	}
	u.problem = nil
	switch {
	case err != nil:
		u.problem = credentials.Explain(err)
		if fault.Message(u.problem) != before {
			k.cfg.Logger.Warn("password of managed user cannot be changed; the ones it has go on", "user", u.ID, "service", p.key.service, "reason", fault.Message(u.problem), "error", err)
		}
	case before != "":
		k.cfg.Logger.Info("password of managed user can be changed again", "user", u.ID, "service", p.key.service)
	}
}

// step brings one user further. It changes u.
func (k *Keeper) step(ctx context.Context, cfg aws.Config, service redisusers.Service, v *vault, u *user) (time.Duration, error) {
	s, err := v.read(ctx)
	if errors.Is(err, errNoSecret) {
		if won, err := v.create(ctx); err != nil || !won {
			return pendingEvery, err
		}
		u.sent = ""
		if s, err = v.read(ctx); err != nil {
			return 0, err
		}
		return pendingEvery, k.set(ctx, cfg, service, s, u)
	}
	if err != nil {
		return 0, err
	}
	if err := v.settle(ctx, s); err != nil {
		return 0, err
	}
	k.warnOfFuture(service, s, u)
	age, rest := k.cfg.Now().Sub(s.current.created), k.rest(s)
	switch {
	case s.applied != s.current.id && u.sent == s.current.id:
		return k.await(ctx, cfg, service, v, s, u)
	case s.applied != s.current.id && age < othersTime:
		return othersTime - age, nil // who has made the version sets it
	case s.applied != s.current.id, u.suspect:
		u.suspect = false
		return pendingEvery, k.set(ctx, cfg, service, s, u)
	case rest > 0:
		u.sent = ""
		return rest + upkeep.Jitter(time.Minute), nil
	}
	if u.stuck != s.current.id {
		u.stuck, u.taken = s.current.id, 0
	}
	if u.taken == 1 { // not by another agent that was quicker: that was minutes ago
		k.cfg.Logger.Warn("secret of managed user was moved back to an older version; the next gets another id than usual", "user", u.ID, "service", service, "version", s.current.id)
	}
	won, err := v.rotate(ctx, s.current, u.taken)
	if err == nil && !won {
		u.taken++
	}
	if err != nil || !won {
		return othersTime, err
	}
	if s, err = v.read(ctx); err != nil {
		return 0, err
	}
	return pendingEvery, k.set(ctx, cfg, service, s, u)
}

// rest is how long the current version serves before the next change.
func (k *Keeper) rest(s state) time.Duration {
	now := k.cfg.Now()
	return max(rotateAfter-now.Sub(s.current.created), settles-now.Sub(s.settled(now)))
}

// warnOfFuture logs that the tag of a secret is from the future, once. It changes u.
func (k *Keeper) warnOfFuture(service redisusers.Service, s state, u *user) {
	if !s.fromFuture(k.cfg.Now()) || u.future.Equal(s.since) {
		return
	}
	u.future = s.since
	k.cfg.Logger.Warn("tag of managed user's secret is from the future, and its time is not believed; check the clocks of the agents", "user", u.ID, "service", service, "tag", tagApplied, "time", s.since)
}

// set gives the user the passwords of the secret.
func (k *Keeper) set(ctx context.Context, cfg aws.Config, service redisusers.Service, s state, u *user) error {
	passwords := []string{s.current.password}
	if s.previous.id != "" {
		passwords = []string{s.previous.password, s.current.password}
	}
	err := service.SetPasswords(ctx, cfg, u.ID, passwords...)
	if errors.Is(err, redisusers.ErrBusy) {
		return nil // it comes to that again
	}
	if err == nil {
		u.sent = s.current.id
	}
	return err
}

// await waits until AWS has carried the change out, and notes that.
func (k *Keeper) await(ctx context.Context, cfg aws.Config, service redisusers.Service, v *vault, s state, u *user) (time.Duration, error) {
	now, ok, err := service.Get(ctx, cfg, u.ID)
	if err != nil || !ok {
		return troubleWait, err
	}
	if now.Status != redisusers.Active {
		return pendingEvery, nil
	}
	s.since = k.cfg.Now()
	return k.rest(s) + upkeep.Jitter(time.Minute), v.apply(ctx, s.current, s.since)
}
