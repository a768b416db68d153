package memory_test

import (
	"testing"

	"sallyport/internal/store"
	"sallyport/internal/store/memory"
	"sallyport/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(_ *testing.T, clock *storetest.Clock) (store.Store, func()) {
		s := memory.New(clock.Now)
		return s, s.Expire
	})
}
