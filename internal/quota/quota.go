// Package quota bounds how often something may be done by each of many: callers, sources, users.
package quota

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may be done.
type Rate struct {
	PerMinute int // in the long run
	Burst     int // at once
}

// ForStrangers is how often those who have shown no certificate may call, where nothing else is configured.
func ForStrangers() Rate { return Rate{PerMinute: 20, Burst: 40} }

// Config says how much is allowed. All fields must be set: with a rate of zero nothing is.
type Config struct {
	Rate Rate // for each key
	Keys int  // that are kept at once; what comes under more of them shares one quota
	Now  func() time.Time
}

// Quota counts by key. Safe for concurrent use.
type Quota struct {
	cfg Config

	mu    sync.Mutex
	keys  map[string]*rate.Limiter // guarded by mu
	rest  *rate.Limiter            // of the keys that are not kept; guarded by mu
	swept time.Time                // guarded by mu
}

// New returns a quota that nothing was taken from.
func New(cfg Config) *Quota {
	q := &Quota{cfg: cfg, keys: make(map[string]*rate.Limiter)}
	q.rest = q.limiter()
	return q
}

func (q *Quota) limiter() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(q.cfg.Rate.PerMinute)/60), q.cfg.Rate.Burst)
}

// Take counts one under the key and reports whether it is allowed.
func (q *Quota) Take(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Now()
	l := q.keys[key]
	if l == nil {
		q.sweep(now)
		l = q.rest
		if len(q.keys) < q.cfg.Keys {
			l = q.limiter()
			q.keys[key] = l
		}
	}
	return l.AllowN(now, 1)
}

const (
	sweepEvery     = time.Minute
	sweepEveryFull = time.Second // so that whoever fills it does not make each call expensive
)

// sweep forgets keys whose quota is full again. Called with mu held.
func (q *Quota) sweep(now time.Time) {
	wait := sweepEvery
	if len(q.keys) >= q.cfg.Keys {
		wait = sweepEveryFull
	}
	if now.Sub(q.swept) < wait {
		return
	}
	q.swept = now
	for key, l := range q.keys {
		if l.TokensAt(now) >= float64(q.cfg.Rate.Burst) {
			delete(q.keys, key)
		}
	}
}

// Len returns how many keys are kept.
func (q *Quota) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.keys)
}
