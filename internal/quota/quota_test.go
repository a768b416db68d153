package quota_test

import (
	"strconv"
	"testing"
	"time"

	"sallyport/internal/quota"
	"sallyport/internal/store/storetest"
)

func TestEachKeyHasItsQuota(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	q := quota.New(quota.Config{Rate: quota.Rate{PerMinute: 60, Burst: 3}, Keys: 10, Now: clock.Now})
	take := func(key string) (n int) {
		for q.Take(key) {
			n++
		}
		return n
	}
	if a, b := take("a"), take("b"); a != 3 || b != 3 {
		t.Errorf("%d and %d at once, want 3", a, b)
	}
	clock.Advance(2 * time.Second)
	if n := take("a"); n != 2 {
		t.Errorf("%d after two seconds, want 2", n)
	}
}

func TestMemoryIsBoundedAndSoIsWhatItDoesNotHold(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	q := quota.New(quota.Config{Rate: quota.Rate{PerMinute: 60, Burst: 3}, Keys: 10, Now: clock.Now})
	allowed := 0
	for i := range 1000 {
		if q.Take(strconv.Itoa(i)) {
			allowed++
		}
	}
	if allowed != 10+3 || q.Len() != 10 {
		t.Errorf("%d keys are kept and %d of 1000 were allowed; want 10 and 13", q.Len(), allowed)
	}
	clock.Advance(time.Minute)
	if !q.Take("new") || q.Len() != 1 {
		t.Errorf("%d keys are kept after a minute", q.Len())
	}
}
