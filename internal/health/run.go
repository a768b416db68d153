package health

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"maps"
	"time"

	"sallyport/internal/resource"
)

// Changed returns a channel that is closed when checks have changed a health, at most once a second.
func (k *Keeper) Changed() <-chan struct{} { return k.bell.Changed() }

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
	next := func(free int) ([]check, time.Duration) { return k.next(ctx, free) }
	k.loop.Run(ctx, next, func(_ context.Context, c check) { k.make(c) })
}

// check is one check of an entry.
type check struct {
	*entry
	ctx     context.Context // ends when the result is of no use any more
	db      *resource.Database
	timeout time.Duration
	silent  bool // it takes one of silentWorkers
}

const forever = time.Hour

// next returns what is to be checked now, as far as workers are free, those first that have waited longest, and how long to wait before the next time. It
// also tells of changes when that is due.
func (k *Keeper) next(ctx context.Context, free int) (due []check, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	wait = forever
	for ; free > 0; free-- {
		q := k.first()
		if q == nil {
			break
		}
		if first := (*q)[0]; first.due.After(now) {
			wait = first.due.Sub(now)
			break
		}
		e := heap.Pop(q).(*entry)
		c := check{entry: e, db: e.db, timeout: e.spec.Timeout.Std(), silent: e.silent}
		if c.silent {
			k.waiting++
		}
		c.ctx, e.end = context.WithCancel(ctx)
		due = append(due, c)
	}
	switch since := now.Sub(k.told); {
	case !k.news:
	case since < quiet:
		wait = min(wait, quiet-since)
	default:
		k.news, k.told = false, now
		k.bell.Ring()
	}
	return due, wait
}

// first returns the queue whose first entry is due first, of those for which there are workers; otherwise nil: the end of a
// check is followed by another look. The caller holds mu.
func (k *Keeper) first() (first *queue) {
	if len(k.queue) > 0 {
		first = &k.queue
	}
	if len(k.silent) > 0 && k.waiting < silentWorkers && (first == nil || k.silent[0].due.Before((*first)[0].due)) {
		first = &k.silent
	}
	return first
}

// make makes a check.
func (k *Keeper) make(c check) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	result := k.cfg.Check(ctx, c.db)
	unanswered := result.Err != nil && ctx.Err() != nil
	if tell := k.note(c, result); tell != nil {
		k.cfg.Tell(*tell)
	}
	k.plan(c, unanswered)
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
func (k *Keeper) plan(c check, unanswered bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.silent {
		k.waiting--
	}
	if c.ctx.Err() != nil {
		return
	}
	c.end()
	c.end = nil
	every := c.spec.Interval.Std()
	if c.state.settling(k.cfg.Now()) {
		every = min(every, hurry)
	}
	c.due = k.cfg.Now().Add(every - every/10 + k.cfg.Jitter(every/5))
	c.entry.silent = unanswered
	heap.Push(k.queueOf(c.entry), c.entry)
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
