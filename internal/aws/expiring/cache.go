// Package expiring keeps values that run out, such as credentials: made by one call at a time for each key,
// made anew before they run out, and never an error.
package expiring

import (
	"context"
	"sync"
	"time"
)

// Config is what a Cache is made of. Now must be set.
type Config struct {
	Now func() time.Time
	// Refresh is how long before its end a value is made anew. In that time the old value still serves
	// those who come while the new one is being made.
	Refresh time.Duration
	// Tolerate says of an error in making a value anew whether the old one may serve on until its end. Nil
	// means that it may not.
	Tolerate func(error) bool
}

// Cache keeps values by key. Safe for concurrent use.
type Cache[K comparable, V any] struct {
	cfg Config

	mu      sync.Mutex
	entries map[K]*entry[V] // guarded by mu
	swept   time.Time       // guarded by mu
}

// Make makes a value and says when it runs out; the zero time means never.
type Make[V any] func(ctx context.Context) (value V, expires time.Time, err error)

// entry is guarded by its cache's mu.
type entry[V any] struct {
	value   V
	expires time.Time // zero: never
	known   bool      // value is set
	retry   time.Time // no new attempt before, after one that failed and was tolerated
	running *attempt[V]
}

// attempt is one run of Make, which others wait for.
type attempt[V any] struct {
	done chan struct{}
	// set before done is closed
	value     V
	err       error
	abandoned bool // failed because the one who ran it went away
}

const (
	sweepEvery = time.Minute
	retryAfter = 10 * time.Second
	// margin is how long a value must still live to be given out: the time for what it is used for.
	margin = 15 * time.Second
)

// New returns an empty cache.
func New[K comparable, V any](cfg Config) *Cache[K, V] {
	return &Cache[K, V]{cfg: cfg, entries: make(map[K]*entry[V])}
}

// Get returns the value of the key, made now if none is kept. Of several callers one makes it and the others
// wait, each as long as its own context lasts.
func (c *Cache[K, V]) Get(ctx context.Context, key K, fresh Make[V]) (V, error) {
	for {
		value, running, lead := c.look(key)
		if running == nil {
			return value, nil
		}
		if lead {
			return c.lead(ctx, key, running, fresh)
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return value, context.Cause(ctx)
		}
		if !running.abandoned {
			return running.value, running.err
		}
	}
}

// look returns a kept value, or the attempt that is to be waited for, or with lead to be made.
func (c *Cache[K, V]) look(key K) (value V, running *attempt[V], lead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	c.sweep(now)
	e := c.entries[key]
	if e == nil {
		e = &entry[V]{}
		c.entries[key] = e
	}
	if e.usable(now) && (e.running != nil || !e.due(now, c.cfg.Refresh)) {
		return e.value, nil, false
	}
	if e.running != nil {
		return value, e.running, false
	}
	e.running = &attempt[V]{done: make(chan struct{})}
	return value, e.running, true
}

func (e *entry[V]) usable(now time.Time) bool {
	return e.known && (e.expires.IsZero() || now.Add(margin).Before(e.expires))
}

func (e *entry[V]) due(now time.Time, refresh time.Duration) bool {
	return !e.expires.IsZero() && !now.Before(e.expires.Add(-refresh)) && !now.Before(e.retry)
}

// lead makes the value for all who wait.
func (c *Cache[K, V]) lead(ctx context.Context, key K, a *attempt[V], fresh Make[V]) (V, error) {
	var expires time.Time
	returned := false
	defer func() {
		if !returned { // a panic passes through; others try for themselves
			a.abandoned = true
			c.settle(key, a, expires)
		}
	}()
	a.value, expires, a.err = fresh(ctx)
	returned = true
	a.abandoned = a.err != nil && ctx.Err() != nil
	c.settle(key, a, expires)
	return a.value, a.err
}

// settle keeps what an attempt has made and lets those go who wait for it.
func (c *Cache[K, V]) settle(key K, a *attempt[V], expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(a.done)
	e, now := c.entries[key], c.cfg.Now()
	e.running = nil
	switch {
	case a.abandoned:
	case a.err == nil:
		e.value, e.expires, e.known, e.retry = a.value, expires, true, time.Time{}
	case e.usable(now) && c.cfg.Tolerate != nil && c.cfg.Tolerate(a.err):
		e.retry = now.Add(retryAfter)
		a.value, a.err = e.value, nil
	default:
		e.known = false
	}
}

// Forget drops the value of the key.
func (c *Cache[K, V]) Forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		e.known = false
	}
}

// sweep drops what has run out. The caller holds mu.
func (c *Cache[K, V]) sweep(now time.Time) {
	if now.Sub(c.swept) < sweepEvery {
		return
	}
	c.swept = now
	for key, e := range c.entries {
		if e.running == nil && !e.usable(now) {
			delete(c.entries, key)
		}
	}
}
