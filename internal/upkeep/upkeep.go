// Package upkeep does work when it falls due, a few pieces at a time.
package upkeep

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// shortest bounds how often Loop asks: whose clock is not the runtime's may call something due that it does not return yet.
const shortest = 10 * time.Millisecond

// Loop starts pieces of work, each told apart by a T. NewLoop makes one.
type Loop[T any] struct {
	most    int
	wake    chan struct{}
	running atomic.Int32
}

// NewLoop returns a loop that has at most so many pieces of work running.
func NewLoop[T any](most int) *Loop[T] {
	return &Loop[T]{most: most, wake: make(chan struct{}, 1)}
}

// Wake has Run ask again what is due. It may be called at any time, with locks held too, before Run and after it.
func (l *Loop[T]) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run asks next what is due and does that, each piece on its own, until the context ends; it returns when all pieces have
// ended. Next returns no more than the pieces that are free to begin, none that it has returned before and that still
// runs, and how long to wait before it is asked again. It is also asked when a piece has ended, and when Wake was called.
func (l *Loop[T]) Run(ctx context.Context, next func(free int) (due []T, wait time.Duration), work func(ctx context.Context, piece T)) {
	var pieces sync.WaitGroup
	defer pieces.Wait()
	for ctx.Err() == nil {
		due, wait := next(l.most - int(l.running.Load()))
		for _, piece := range due {
			l.running.Add(1)
			pieces.Go(func() {
				work(ctx, piece)
				l.running.Add(-1)
				l.Wake()
			})
		}
		timer := time.NewTimer(max(wait, shortest))
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Jitter returns a duration up to a fifth shorter, to spread what would otherwise come at once.
func Jitter(d time.Duration) time.Duration {
	return d - rand.N(d/5+1)
}
