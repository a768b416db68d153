package expiring_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/expiring"
)

var errSoft = errors.New("try again")

type made = expiring.Cache[string, int64]

// maker counts its runs and gives values that live for an hour.
type maker struct {
	count atomic.Int64
	err   error
}

func (m *maker) fresh(context.Context) (int64, time.Time, error) {
	return m.count.Add(1), time.Now().Add(time.Hour), m.err
}

func newCache() *made {
	return expiring.New[string, int64](expiring.Config{
		Now: time.Now, Refresh: 5 * time.Minute, Tolerate: func(err error) bool { return errors.Is(err, errSoft) },
	})
}

func TestCacheKeepsValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after time.Duration
		err   error
		want  int64
		fails error
	}{
		{"a value serves until it is due", 54 * time.Minute, nil, 1, nil},
		{"a value that is due is made anew", 56 * time.Minute, nil, 2, nil},
		{"an error that may pass lets the old value serve", 56 * time.Minute, errSoft, 1, nil},
		{"an error that may pass lets no dead value serve", time.Hour, errSoft, 0, errSoft},
		{"another error lets no old value serve", 56 * time.Minute, errors.ErrUnsupported, 0, errors.ErrUnsupported},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cache, m := newCache(), &maker{}
				if got, err := cache.Get(t.Context(), "a", m.fresh); got != 1 || err != nil {
					t.Fatal(got, err)
				}
				time.Sleep(test.after)
				m.err = test.err
				got, err := cache.Get(t.Context(), "a", m.fresh)
				if !errors.Is(err, test.fails) || test.fails == nil && got != test.want {
					t.Errorf("got %d, %v", got, err)
				}
			})
		})
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	cache, m := newCache(), &maker{err: errSoft}
	if _, err := cache.Get(t.Context(), "a", m.fresh); !errors.Is(err, errSoft) {
		t.Fatal(err)
	}
	m.err = nil
	if got, err := cache.Get(t.Context(), "a", m.fresh); got != 2 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if got, _ := cache.Get(t.Context(), "b", m.fresh); got != 3 {
		t.Errorf("another key got %d", got)
	}
	cache.Forget("a")
	if got, _ := cache.Get(t.Context(), "a", m.fresh); got != 4 {
		t.Errorf("after Forget: %d", got)
	}
}

func TestAToleratedErrorIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache, m := newCache(), &maker{}
		get := func() int64 {
			value, err := cache.Get(t.Context(), "a", m.fresh)
			if err != nil {
				t.Error(err)
			}
			return value
		}
		get()
		m.err = errSoft
		time.Sleep(56 * time.Minute)
		for range 100 {
			get()
		}
		if n := m.count.Load(); n != 2 {
			t.Errorf("made %d times", n)
		}
		m.err = nil
		time.Sleep(11 * time.Second)
		if got := get(); got != 3 {
			t.Errorf("later: %d", got)
		}
	})
}

// TestOneMakesForAll has many callers at once: one makes the value, whoever gives up leaves the others to it.
func TestOneMakesForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := newCache()
		var count atomic.Int64
		slow := func(ctx context.Context) (int64, time.Time, error) {
			n := count.Add(1)
			select {
			case <-ctx.Done():
				return 0, time.Time{}, ctx.Err()
			case <-time.After(time.Second):
				return n, time.Now().Add(time.Hour), nil
			}
		}
		first, giveUp := context.WithCancel(t.Context())
		abandoned := make(chan error)
		go func() {
			_, err := cache.Get(first, "a", slow)
			abandoned <- err
		}()
		synctest.Wait()
		got := make(chan int64)
		for range 50 {
			go func() {
				value, _ := cache.Get(t.Context(), "a", slow)
				got <- value
			}()
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := cache.Get(impatient, "a", slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one who waits got %v", err)
		}
		giveUp()
		if err := <-abandoned; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
		for range 50 {
			if value := <-got; value != 2 {
				t.Errorf("got %d", value)
			}
		}
		// When it is due, the old one serves while the new one is made.
		time.Sleep(56 * time.Minute)
		go func() {
			value, _ := cache.Get(t.Context(), "a", slow)
			got <- value
		}()
		synctest.Wait()
		began := time.Now()
		if value, _ := cache.Get(t.Context(), "a", slow); value != 2 || time.Since(began) != 0 {
			t.Errorf("got %d after %s", value, time.Since(began))
		}
		if value := <-got; value != 3 {
			t.Errorf("the new one is %d", value)
		}
	})
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	cache, m := newCache(), &maker{}
	func() {
		defer func() { _ = recover() }()
		_, _ = cache.Get(t.Context(), "a", func(context.Context) (int64, time.Time, error) { panic("lost") })
	}()
	if got, err := cache.Get(t.Context(), "a", m.fresh); got != 1 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}
