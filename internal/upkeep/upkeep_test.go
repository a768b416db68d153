package upkeep_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/upkeep"
)

// chores are pieces of work with a time at which they are due, once, and how long they take.
type chores struct {
	mu    sync.Mutex
	due   map[string]time.Time
	takes time.Duration
	log   []string // names and seconds at which they began
	start time.Time
	now   int
	most  int
}

func (c *chores) next(free int) (due []string, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait = time.Hour
	for name, at := range c.due {
		if left := time.Until(at); left > 0 {
			wait = min(wait, left)
		} else if len(due) < free {
			due = append(due, name)
			delete(c.due, name)
		}
	}
	return due, wait
}

func (c *chores) work(ctx context.Context, name string) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.log = append(c.log, name+" "+time.Since(c.start).String())
	c.mu.Unlock()
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		time.Sleep(time.Second) // it takes a moment to end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

func TestWorkIsDoneWhenItIsDueAFewPiecesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := &chores{takes: 10 * time.Second, start: start, due: map[string]time.Time{
			"early": start, "same": start.Add(4 * time.Second), "late": start.Add(5 * time.Second), "never": start.Add(time.Hour),
		}}
		loop := upkeep.NewLoop[string](2)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { loop.Run(ctx, c.next, c.work) })
		time.Sleep(30 * time.Second)
		c.mu.Lock()
		c.due["added"] = time.Now()
		c.mu.Unlock()
		loop.Wake()
		time.Sleep(time.Second)
		stopped := time.Now()
		stop()
		running.Wait()
		if want := []string{"early 0s", "same 4s", "late 10s", "added 30s"}; !slices.Equal(c.log, want) {
			t.Errorf("done: %q, want %q", c.log, want)
		}
		if c.most != 2 {
			t.Errorf("%d pieces at a time", c.most)
		}
		if c.now != 0 || time.Since(stopped) != time.Second {
			t.Errorf("Run returned %s after the end with %d pieces running", time.Since(stopped), c.now)
		}
	})
}

func TestAClockThatGoesWrongDoesNotSpin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		upkeep.NewLoop[int](1).Run(ctx, func(int) ([]int, time.Duration) {
			asked++
			return nil, -time.Second
		}, func(context.Context, int) {})
		if asked > 101 {
			t.Errorf("asked %d times in a second", asked)
		}
	})
}

func TestJitterIsAFifthAtMost(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if got := upkeep.Jitter(10 * time.Second); got < 8*time.Second || got > 10*time.Second {
			t.Fatalf("10s became %s", got)
		}
	}
	if got := upkeep.Jitter(0); got != 0 {
		t.Errorf("0 became %s", got)
	}
}
