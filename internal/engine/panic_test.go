package engine_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/engine"
)

func TestGuardTurnsPanicsIntoErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	cases := []struct {
		name      string
		direction func() error
		is        error    // nil when it is one of its own, or none
		tells     []string // nothing when there is no error
	}{
		{"nothing happened", func() error { return nil }, nil, nil},
		{"an error is passed on as it is", func() error { return broken }, broken, []string{"broken"}},
		{"a panic with a text", func() error { panic("oh") }, nil, []string{"relay panicked: oh"}},
		{"a panic with an error", func() error { panic(broken) }, nil, []string{"relay panicked: broken"}},
		{"a panic of the runtime", func() error { var none []byte; _ = none[len(none)]; return nil }, nil, []string{"index out of range"}},
		{"a panic with nil", func() error { panic(nil) }, nil, []string{"relay panicked"}},
	}
	for _, c := range cases {
		err := engine.Guard("relay", c.direction)
		if (err != nil) != (c.tells != nil) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.name, err)
		}
		if fault, ok := errors.AsType[*engine.Panic](err); ok != (c.is == nil && c.tells != nil) || ok && (!strings.Contains(string(fault.Stack), "panic_test.go") || strings.Contains(err.Error(), ".go")) {
			t.Errorf("%s: %v: where it happened is for the log, and for nothing else", c.name, err)
		}
		for _, text := range c.tells {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v does not tell %q", c.name, err, text)
			}
		}
	}
}
