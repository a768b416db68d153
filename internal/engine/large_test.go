package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine"
)

func nothing() error { return nil }

func TestBudget(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	cases := []struct {
		name   string
		taken  int // by another session
		grow   []int
		freed  time.Duration // after which the other session gives its share back; 0 for never
		ended  time.Duration // after which the context ends; 0 for never
		want   error
		passed time.Duration
	}{
		{"what fits is had at once", 40, []int{60}, 0, 0, nil, 0},
		{"a share grows by what is missing", 40, []int{30, 60}, 0, 0, nil, 0},
		{"a share does not shrink", 40, []int{60, 30}, 0, 0, nil, 0},
		{"more than the budget takes all of it", 0, []int{1000}, 0, 0, nil, 0},
		{"what does not fit waits for others", 41, []int{60}, 3 * time.Second, 0, nil, 3 * time.Second},
		{"the wait has an end", 41, []int{60}, 0, 0, engine.ErrBusy, 10 * time.Second},
		{"the wait ends with the context", 41, []int{60}, 0, time.Second, errGone, time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(100, 10*time.Second)
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				var other, share engine.Share
				if err := b.Grow(ctx, &other, c.taken, nothing); err != nil {
					t.Fatal(err)
				}
				if c.freed > 0 {
					time.AfterFunc(c.freed, func() { b.Release(&other) })
				}
				if c.ended > 0 {
					time.AfterFunc(c.ended, func() { end(errGone) })
				}
				began := time.Now()
				var err error
				for _, size := range c.grow {
					err = b.Grow(ctx, &share, size, nothing)
				}
				if !errors.Is(err, c.want) || time.Since(began) != c.passed {
					t.Fatalf("%v after %s, want %v after %s", err, time.Since(began), c.want, c.passed)
				}
				b.Release(&share)
				if c.freed == 0 {
					b.Release(&other)
				}
				var all engine.Share
				if err := b.Grow(ctx, &all, 100, nothing); c.ended == 0 && err != nil {
					t.Errorf("not everything was given back: %v", err)
				}
			})
		})
	}
}

func TestBudgetSendsOnBeforeItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := engine.NewBudget(100, time.Hour)
		var share, other engine.Share
		if err := errors.Join(b.Grow(t.Context(), &share, 20, nothing), b.Grow(t.Context(), &other, 30, nothing)); err != nil {
			t.Fatal(err)
		}
		flushed := 0
		flush := func() error {
			flushed++
			b.Release(&other)
			return nil
		}
		if err := b.Grow(t.Context(), &share, 90, flush); err != nil || flushed != 1 {
			t.Fatalf("%v, flushed %d times", err, flushed)
		}
		broken := errors.New("broken")
		if err := b.Grow(t.Context(), &other, 20, func() error { return broken }); !errors.Is(err, broken) {
			t.Fatalf("%v, want what sending on said", err)
		}
		b.Release(&share)
		if err := b.Grow(t.Context(), &other, 100, flush); err != nil || flushed != 1 {
			t.Fatalf("the share was counted twice: %v, flushed %d times", err, flushed)
		}
	})
}
