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
		taken  map[string]int // by other sessions, by their users; "me" is the user of the session that is looked at
		grow   []int
		freed  time.Duration // after which the others give their shares back; 0 for never
		ended  time.Duration // after which the context ends; 0 for never
		want   error
		passed time.Duration
	}{
		{"what fits is had at once", map[string]int{"a": 100, "b": 40}, []int{60}, 0, 0, nil, 0},
		{"a share grows by what is missing", map[string]int{"a": 100, "b": 40}, []int{30, 60}, 0, 0, nil, 0},
		{"a share does not shrink", map[string]int{"a": 100, "b": 40}, []int{60, 30}, 0, 0, nil, 0},
		{"a little more than one has is had at once", map[string]int{"a": 100, "b": 40}, []int{56, 63}, 0, 0, nil, 0},
		{"more than a user may have takes all of that", nil, []int{1000}, 0, 0, nil, 0},
		{"what does not fit waits for others", map[string]int{"a": 100, "b": 41}, []int{60}, 3 * time.Second, 0, nil, 3 * time.Second},
		{"the wait has an end", map[string]int{"a": 100, "b": 41}, []int{60}, 0, 0, engine.ErrBusy, 10 * time.Second},
		{"the wait ends with the context", map[string]int{"a": 100, "b": 41}, []int{60}, 0, time.Second, errGone, time.Second},
		{"who takes all that a user may have holds up nobody else", map[string]int{"a": 1000}, []int{100}, 0, 0, nil, 0},
		{"what does not fit waits for the user's own", map[string]int{"me": 41}, []int{60}, 3 * time.Second, 0, nil, 3 * time.Second},
		{"this wait has an end too", map[string]int{"me": 41}, []int{60}, 0, 0, engine.ErrBusy, 10 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(200, 10*time.Second)
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				var others []*engine.Share
				for user, taken := range c.taken {
					other := &engine.Share{User: user}
					if err := b.Grow(ctx, other, taken, nothing); err != nil {
						t.Fatal(err)
					}
					others = append(others, other)
				}
				free := func() {
					for _, other := range others {
						b.Release(other)
					}
				}
				if c.freed > 0 {
					time.AfterFunc(c.freed, free)
				}
				if c.ended > 0 {
					time.AfterFunc(c.ended, func() { end(errGone) })
				}
				began := time.Now()
				share := &engine.Share{User: "me"}
				var err error
				for _, size := range c.grow {
					err = b.Grow(ctx, share, size, nothing)
				}
				if !errors.Is(err, c.want) || time.Since(began) != c.passed {
					t.Fatalf("%v after %s, want %v after %s", err, time.Since(began), c.want, c.passed)
				}
				b.Release(share)
				if c.freed == 0 {
					free()
				}
				for _, user := range []string{"me", "a"} {
					if err := b.Grow(t.Context(), &engine.Share{User: user}, 100, nothing); err != nil {
						t.Errorf("not everything was given back: %v", err)
					}
				}
			})
		})
	}
}

func TestBudgetSendsOnBeforeItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := engine.NewBudget(200, time.Hour)
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
