package access_test

import (
	"strings"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/fault"
)

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	const here = "192.0.2.1"
	for name, c := range map[string]struct {
		pinned string
		demand bool
		from   string
		says   string
	}{
		"no pin, none demanded":          {"", false, here + ":1", ""},
		"no pin, but demanded":           {"", true, here + ":1", "bound to none"},
		"the pinned address":             {here, true, here + ":1", ""},
		"a pin holds without the demand": {here, false, "192.0.2.2:1", "bound to another address"},
		"another address":                {here, true, "192.0.2.2:1", "bound to another address"},
		"an address that is not known":   {here, true, "", "bound to another address"},
		"what is no address":             {"pipe", true, "pipe", "bound to another address"},
		"the same in other words":        {"2001:db8::1", true, "[2001:DB8:0::1]:1", ""},
		"a neighbour":                    {"2001:db8::1", true, "[2001:db8::2]:1", "bound to another address"},
	} {
		err := access.CheckAddress(c.pinned, access.SessionOptions{PinSourceIP: c.demand}, c.from)
		if c.says == "" && err != nil || c.says != "" && (!fault.Is(err, fault.AccessDenied) || !strings.Contains(fault.Message(err), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
