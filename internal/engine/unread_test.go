package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
)

func TestUnreadable(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	short := errors.New("too short")
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want bool
	}{
		"an error of a decoder":           {t.Context(), short, true},
		"one in words":                    {t.Context(), fmt.Errorf("recording: %w", fault.New(fault.LimitExceeded, "too much")), false},
		"one in words, with its cause":    {t.Context(), fault.Wrap(fault.BadParameter, short, "no message"), false},
		"why the relay has ended already": {ended, engine.LeftSilently(short), false},
	} {
		if got := engine.Unreadable(c.ctx, c.err); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
