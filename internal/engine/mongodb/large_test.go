package mongodb_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
)

// TestALargeCommandThatIsRefusedLeavesItsRoom to other sessions, while its own is idle.
func TestALargeCommandThatIsRefusedLeavesItsRoom(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	agent, _ := small(t, mongotest.Options{}, func(cfg *enginetest.Config) {
		cfg.Roles = []string{ordersOnly}
		cfg.Engine = mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2 * 5 * size, LargeWait: enginetest.Patience})
	})
	large := []any{d(e("v", bytes.Repeat([]byte{'x'}, size)))}
	idle := logIn(t, agent)
	_, err := idle.run(patience(t), in("hidden", e("insert", "c"), e("documents", large)))
	if no, ok := errors.AsType[*refusal](err); !ok || no.code != 13 {
		t.Fatalf("the first session heard %v", err)
	}
	if _, err := logIn(t, agent).run(patience(t), in("orders", e("insert", "c"), e("documents", large))); err != nil {
		t.Errorf("the second session heard %v", err)
	}
}
