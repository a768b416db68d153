package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine"
)

const (
	pace     = 10 * time.Second
	patience = 15 * time.Second
)

func nothing() error { return nil }

// others take room out of a budget of 200 bytes, and may give it back.
func others(t *testing.T, b *engine.Budget, taken []use) []*engine.Share {
	t.Helper()
	var shares []*engine.Share
	for _, u := range taken {
		share := b.Share(u.user, func(error) {})
		if err := share.Grow(t.Context(), u.bytes, nothing); err != nil {
			t.Fatal(err)
		}
		shares = append(shares, share)
	}
	return shares
}

type use struct {
	user  string
	bytes int
}

func TestBudget(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	cases := []struct {
		name   string
		taken  []use // by other sessions; "me" is the user of the session that is looked at
		grow   []int
		freed  time.Duration // after which the others give their shares back; 0 for never
		ended  time.Duration // after which the context ends; 0 for never
		want   error
		passed time.Duration
	}{
		{"what fits is had at once", []use{{"a", 80}}, []int{60}, 0, 0, nil, 0},
		{"a user may have as much as is left", []use{{"a", 100}}, []int{50}, 0, 0, nil, 0},
		{"and no more", []use{{"a", 100}}, []int{51}, 0, 0, engine.ErrBusy, patience},
		{"who comes new finds some, however many have taken what they can", []use{{"a", 100}, {"b", 50}, {"c", 25}}, []int{12}, 0, 0, nil, 0},
		{"a share grows by what is missing", []use{{"a", 80}}, []int{30, 60}, 0, 0, nil, 0},
		{"a share does not shrink", []use{{"a", 80}}, []int{60, 30}, 0, 0, nil, 0},
		{"a little more than one has is had at once", []use{{"a", 88}}, []int{56, 63}, 0, 0, nil, 0},
		{"more than a user can have takes all of that", nil, []int{1000}, 0, 0, nil, 0},
		{"what does not fit waits for others", []use{{"a", 81}}, []int{60}, 3 * time.Second, 0, nil, 3 * time.Second},
		{"the wait has an end", []use{{"a", 81}}, []int{60}, 0, 0, engine.ErrBusy, patience},
		{"the wait ends with the context", []use{{"a", 81}}, []int{60}, 0, time.Second, errGone, time.Second},
		{"what does not fit waits for the user's own", []use{{"me", 41}}, []int{60}, 3 * time.Second, 0, nil, 3 * time.Second},
		{"this wait has an end too", []use{{"me", 41}}, []int{60}, 0, 0, engine.ErrBusy, patience},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(200, pace)
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				held := others(t, b, c.taken)
				free := func() {
					for _, other := range held {
						other.Release()
					}
				}
				if c.freed > 0 {
					time.AfterFunc(c.freed, free)
				}
				if c.ended > 0 {
					time.AfterFunc(c.ended, func() { end(errGone) })
				}
				began := time.Now()
				share := b.Share("me", end)
				var err error
				for _, size := range c.grow {
					err = share.Grow(ctx, size, nothing)
				}
				if !errors.Is(err, c.want) || time.Since(began) != c.passed {
					t.Fatalf("%v after %s, want %v after %s", err, time.Since(began), c.want, c.passed)
				}
				share.Release()
				if c.freed == 0 {
					free()
				}
				others(t, b, []use{{"me", 100}, {"a", 50}}) // everything was given back
			})
		})
	}
}

// TestBudgetGrantsInOrder of arrival, as soon as something fits.
func TestBudgetGrantsInOrder(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		taken  []use
		wanted []use // in this order
		freed  int   // how many of the others give back what they have
		want   string
	}{
		{"who came first is first", []use{{"a", 80}}, []use{{"b", 70}, {"c", 70}}, 1, "b"},
		{"what does not fit yet holds up nobody behind it", []use{{"a", 60}, {"b", 60}}, []use{{"c", 100}, {"d", 41}}, 1, "d"},
		{"all that fit are granted at once", []use{{"a", 80}}, []use{{"b", 61}, {"c", 61}}, 1, "b c"},
		{"nothing is granted that does not fit", []use{{"a", 60}, {"b", 60}}, []use{{"c", 90}}, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(200, time.Hour)
				ctx, end := context.WithCancel(t.Context())
				held := others(t, b, c.taken)
				granted := make(chan string, len(c.wanted))
				for _, u := range c.wanted {
					go func() {
						share := b.Share(u.user, func(error) {})
						if share.Grow(ctx, u.bytes, nothing) == nil {
							granted <- u.user
						}
					}()
					synctest.Wait()
				}
				if len(granted) > 0 {
					t.Fatalf("%s did not have to wait", <-granted)
				}
				for _, other := range held[:c.freed] {
					other.Release()
				}
				synctest.Wait()
				end()
				synctest.Wait()
				close(granted)
				var got []string
				for user := range granted {
					got = append(got, user)
				}
				if slices.Sort(got); strings.Join(got, " ") != c.want {
					t.Errorf("granted: %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestBudgetSendsOnBeforeItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := engine.NewBudget(200, time.Hour)
		share, other := b.Share("me", func(error) {}), others(t, b, []use{{"me", 30}})[0]
		flushed := 0
		flush := func() error {
			flushed++
			other.Release()
			return nil
		}
		if err := share.Grow(t.Context(), 90, flush); err != nil || flushed != 1 {
			t.Fatalf("%v, flushed %d times", err, flushed)
		}
		broken := errors.New("broken")
		if err := other.Grow(t.Context(), 20, func() error { return broken }); !errors.Is(err, broken) {
			t.Fatalf("%v, want what sending on said", err)
		}
		share.Release()
		if err := other.Grow(t.Context(), 100, flush); err != nil || flushed != 1 {
			t.Fatalf("the share was counted twice: %v, flushed %d times", err, flushed)
		}
	})
}

// TestBudgetLetsNobodyWaitForThoseWhoWait has sessions of one user take a part each, and then need more than is left: one after the other
// has it, and none waits until its time is over.
func TestBudgetLetsNobodyWaitForThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const work = time.Second
		b := engine.NewBudget(200, pace)
		var sessions sync.WaitGroup
		began := time.Now()
		for range 3 {
			sessions.Go(func() {
				share := b.Share("me", func(cause error) { t.Errorf("a session ended: %v", cause) })
				for _, size := range []int{30, 60, 100} {
					if err := share.Grow(t.Context(), size, nothing); err != nil {
						t.Error(err)
					}
					time.Sleep(work)
				}
				share.Release()
			})
		}
		sessions.Wait()
		if took := time.Since(began); took > 9*work {
			t.Errorf("it took %s", took)
		}
		others(t, b, []use{{"me", 100}, {"a", 50}}) // everything was given back
	})
}

// TestBudgetIsExceededByOneMessage, which takes nothing from others.
func TestBudgetIsExceededByOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := engine.NewBudget(200, pace)
		held := others(t, b, []use{{"me", 50}, {"me", 50}})
		if err := held[0].Grow(t.Context(), 100, nothing); err != nil {
			t.Fatal(err)
		}
		beside := others(t, b, []use{{"a", 50}})
		if err := held[1].Grow(t.Context(), 100, nothing); !errors.Is(err, engine.ErrBusy) {
			t.Errorf("two exceed it: %v", err)
		}
		held[0].Release()
		if err := held[1].Grow(t.Context(), 100, nothing); err != nil {
			t.Errorf("who exceeded it still does: %v", err)
		}
		for _, share := range append(beside, held[1]) {
			share.Release()
		}
		others(t, b, []use{{"me", 100}})
		if err := b.Share("a", nil).Grow(t.Context(), 51, nothing); !errors.Is(err, engine.ErrBusy) {
			t.Errorf("the budget has grown by what was beyond it: %v", err)
		}
	})
}
