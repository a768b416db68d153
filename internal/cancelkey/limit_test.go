package cancelkey_test

import (
	"testing"
	"time"

	"sallyport/internal/cancelkey"
)

func TestEachSourceMayAskTenTimesASecond(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	limit := cancelkey.NewLimit(func() time.Time { return now })
	for i := range 12 {
		address := "192.0.2.1:" + string(rune('1'+i%9)) // the port does not count
		if got, want := limit.Allow(address), i < 10; got != want {
			t.Errorf("request %d is allowed: %t, want %t", i+1, got, want)
		}
	}
	if !limit.Allow("192.0.2.2:1") {
		t.Error("another source is refused")
	}
	now = now.Add(time.Second)
	if !limit.Allow("192.0.2.1:1") {
		t.Error("the next second is refused")
	}
}
