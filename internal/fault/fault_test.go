package fault_test

import (
	"errors"
	"testing"

	"sallyport/internal/fault"
)

func TestAnErrorSaysEachThingOnce(t *testing.T) {
	t.Parallel()
	cause := errors.New("EOF")
	inner := fault.Wrap(fault.ConnectionProblem, cause, "the other side has gone; try again")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"without a cause":                          {fault.New(fault.NotFound, "no"), "no"},
		"with a cause":                             {inner, "the other side has gone; try again: EOF"},
		"around a fault whose words it repeats":    {fault.Wrap(fault.ConnectionProblem, inner, "no answer: %s", fault.Message(inner)), "no answer: the other side has gone; try again: EOF"},
		"around a cause that it quotes":            {fault.Wrap(fault.ConnectionProblem, cause, "no answer: %s", cause), "no answer: EOF"},
		"around a fault with words of its own":     {fault.Wrap(fault.ConnectionProblem, inner, "no answer"), "no answer: the other side has gone; try again: EOF"},
		"around an error that says more before it": {fault.Wrap(fault.ConnectionProblem, errors.Join(errors.New("first"), inner), "no answer: %s", fault.Message(inner)), "no answer: the other side has gone; try again: first\nthe other side has gone; try again: EOF"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
