package bell_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"sallyport/internal/bell"
)

func rung(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
		return false
	}
}

func TestEachRingIsHeardByWhoWaited(t *testing.T) {
	t.Parallel()
	var b bell.Bell
	b.Ring() // nobody waits, and it is not kept
	first, same := b.Changed(), b.Changed()
	if rung(first) || rung(same) {
		t.Error("it rang before")
	}
	b.Ring()
	later := b.Changed()
	if !rung(first) || !rung(same) {
		t.Error("it was not heard by all")
	}
	if rung(later) {
		t.Error("one ring was heard twice")
	}
	b.Ring()
	if !rung(later) {
		t.Error("the second ring was not heard")
	}
}

// TestNoChangeIsMissed has a reader wait for each number of a writer.
func TestNoChangeIsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const last = 1000
		var b bell.Bell
		var mu sync.Mutex
		number := 0
		go func() {
			for range last {
				mu.Lock()
				number++
				mu.Unlock()
				b.Ring()
			}
		}()
		for read := 0; read < last; { // a missed ring would block for ever, which synctest tells
			changed := b.Changed()
			mu.Lock()
			now := number
			mu.Unlock()
			if now == read {
				<-changed
			}
			read = now
		}
	})
}
