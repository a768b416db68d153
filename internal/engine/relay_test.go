package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine"
)

func TestRunEndsAllDirectionsWithTheFirstCause(t *testing.T) {
	t.Parallel()
	first, late, outside := errors.New("first"), errors.New("late"), errors.New("outside")
	cases := []struct {
		name       string
		directions func(ctx context.Context) []func() error
		outside    error // what ends the context from outside
		want       string
	}{
		{"the first direction", func(ctx context.Context) []func() error {
			return []func() error{func() error { return first }, func() error { <-ctx.Done(); return late }}
		}, nil, "first"},
		{"the second direction", func(ctx context.Context) []func() error {
			return []func() error{func() error { <-ctx.Done(); return late }, func() error { return first }}
		}, nil, "first"},
		{"one that panics", func(ctx context.Context) []func() error {
			return []func() error{func() error { <-ctx.Done(); return late }, func() error { panic("oh") }}
		}, nil, "relay panicked: oh"},
		{"the context", func(ctx context.Context) []func() error {
			wait := func() error { <-ctx.Done(); return late }
			return []func() error{wait, wait}
		}, outside, "outside"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				interrupted := 0
				if c.outside != nil {
					time.AfterFunc(time.Second, func() { end(c.outside) })
				}
				cause := engine.Run(ctx, end, func() { interrupted++ }, c.directions(ctx)...)
				if cause == nil || !strings.HasPrefix(cause.Error(), c.want) || interrupted != 1 {
					t.Errorf("ended with %v, interrupted %d times; want %s, once", cause, interrupted, c.want)
				}
			})
		})
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancelCause(t.Context())
		var mu sync.Mutex
		changed := sync.NewCond(&mu)
		ready := false
		change := func(what func()) {
			mu.Lock()
			defer mu.Unlock()
			what()
			changed.Broadcast()
		}
		isReady := func() bool { return ready }
		time.AfterFunc(time.Second, func() { change(func() {}) })
		time.AfterFunc(2*time.Second, func() { change(func() { ready = true }) })
		began := time.Now()
		if err := engine.Wait(ctx, changed, isReady); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s, want nil when it is ready", err, time.Since(began))
		}
		ready = false
		gone := errors.New("gone")
		time.AfterFunc(time.Second, func() {
			end(gone)
			engine.Interrupt(0, changed)
		})
		if err := engine.Wait(ctx, changed, isReady); !errors.Is(err, gone) {
			t.Errorf("%v, want the cause of the context", err)
		}
	})
}

func TestHungUpIsNoDepartureOfTheClient(t *testing.T) {
	t.Parallel()
	if err := engine.HungUp(io.EOF); errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v: it must tell the cause and not be it", err)
	}
}

func newCond() *sync.Cond { return sync.NewCond(new(sync.Mutex)) }

func TestInterruptUnblocksReadersAtOnceAndWritersAfterPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = 3 * time.Second
		var conns []net.Conn
		var work sync.WaitGroup
		began := time.Now()
		for range 2 {
			near, far := net.Pipe() // whose far end does nothing
			defer near.Close()
			defer far.Close()
			conns = append(conns, near)
			work.Go(func() {
				if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 0 {
					t.Errorf("a read ended with %v after %s", err, time.Since(began))
				}
			})
			work.Go(func() {
				if _, err := near.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != patience {
					t.Errorf("a write ended with %v after %s", err, time.Since(began))
				}
			})
		}
		synctest.Wait() // all are blocked
		engine.Interrupt(patience, newCond(), conns...)
		work.Wait()
	})
}

func TestInterruptLetsAWriteBeCompleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		engine.Interrupt(3*time.Second, newCond(), near)
		began := time.Now()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 0 {
			t.Errorf("a read that begins afterwards: %v after %s", err, time.Since(began))
		}
		var got []byte
		var readErr error
		var reader sync.WaitGroup
		reader.Go(func() {
			time.Sleep(2 * time.Second)
			got, readErr = io.ReadAll(far)
		})
		if _, err := near.Write([]byte("last words")); err != nil {
			t.Errorf("a write within the patience: %v", err)
		}
		_ = near.Close()
		reader.Wait()
		if string(got) != "last words" || readErr != nil {
			t.Errorf("the other end got %q, %v", got, readErr)
		}
		other, _ := net.Pipe()
		defer other.Close()
		engine.Interrupt(0, newCond(), other)
		if _, err := other.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write without patience: %v", err)
		}
	})
}
