package health

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"sallyport/internal/resource"
)

// Changed returns a channel that is closed when checks have changed a health, at most once a second.
func (k *Keeper) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notify
}

// Counts returns how many checks have ended since the start. The caller owns them.
func (k *Keeper) Counts() map[Count]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.counts)
}

// Statuses counts the databases that are served, by protocol and status.
func (k *Keeper) Statuses() map[string]map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]map[string]int)
	for _, e := range k.entries {
		protocol := e.db.Spec.Protocol
		if all[protocol] == nil {
			all[protocol] = make(map[string]int)
		}
		all[protocol][e.state.health.Status]++
	}
	return all
}

// Run makes checks when they are due, until the context ends. It returns when all have ended.
func (k *Keeper) Run(ctx context.Context) {
	var checking sync.WaitGroup
	defer checking.Wait()
	for ctx.Err() == nil {
		due, wait := k.next(ctx)
		for _, c := range due {
			checking.Go(func() { k.make(c) })
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// check is one check of an entry.
type check struct {
	*entry
	ctx     context.Context // ends when the result is of no use any more
	db      *resource.Database
	timeout time.Duration
}

const forever = time.Hour

// next returns what is to be checked now, those first that have waited longest, and how long to wait before the next time. It
// also tells of changes when that is due.
func (k *Keeper) next(ctx context.Context) (due []check, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	wait = forever
	for len(k.queue) > 0 && k.running < workers { // otherwise the end of a check wakes us
		if first := k.queue[0]; first.due.After(now) {
			wait = first.due.Sub(now)
			break
		}
		k.running++
		e := heap.Pop(&k.queue).(*entry)
		c := check{entry: e, db: e.db, timeout: e.spec.Timeout.Std()}
		c.ctx, e.end = context.WithCancel(ctx)
		due = append(due, c)
	}
	switch since := now.Sub(k.told); {
	case !k.news:
	case since < quiet:
		wait = min(wait, quiet-since)
	default:
		k.news, k.told = false, now
		close(k.notify)
		k.notify = make(chan struct{})
	}
	return due, wait
}

// make makes a check.
func (k *Keeper) make(c check) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	if tell := k.note(c, k.cfg.Check(ctx, c.db)); tell != nil {
		k.cfg.Tell(*tell)
	}
	k.plan(c)
}

// note takes the result of a check, unless that was ended from outside, and returns what people are to be told.
func (k *Keeper) note(c check, r Result) *Transition {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	k.counts[Count{c.db.Spec.Protocol, outcome(r)}]++
	was := c.state.known
	changed, isNews := c.state.note(r, c.spec, k.cfg.Now())
	k.news = k.news || changed
	if !isNews {
		return nil
	}
	return &Transition{Database: c.db, Was: cmp.Or(was, resource.Healthy), Now: c.state.health, Err: r.Err}
}

// plan plans the check after one that has ended, a tenth sooner or later than asked for, so that the checks of many databases
// and agents do not fall together.
func (k *Keeper) plan(c check) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.awake() // there is room
	k.running--
	if c.ctx.Err() != nil {
		return
	}
	c.end()
	c.end = nil
	every := c.spec.Interval.Std()
	if c.state.health.TransitionReason == resource.HealthInitialized {
		every = min(every, hurry)
	}
	c.due = k.cfg.Now().Add(every - every/10 + k.cfg.Jitter(every/5))
	heap.Push(&k.queue, c.entry)
}

func outcome(r Result) string {
	switch {
	case r.Err == nil:
		return passed
	case errors.Is(r.Err, ErrNotMade):
		return notMade
	default:
		return failed
	}
}

func (k *Keeper) awake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
