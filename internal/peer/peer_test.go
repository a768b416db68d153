package peer_test

import (
	"testing"

	"sallyport/internal/peer"
)

func TestSource(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ address, want string }{
		"IPv4 with a port":       {"192.0.2.1:443", "192.0.2.1"},
		"IPv4":                   {"192.0.2.1", "192.0.2.1"},
		"IPv4 within IPv6":       {"[::ffff:192.0.2.1]:443", "192.0.2.1"},
		"IPv6 counts by its /64": {"[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"},
		"its neighbour":          {"2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"},
		"another /64":            {"[2001:db8:1:3::1]:443", "2001:db8:1:3::/64"},
		"IPv6 with a zone":       {"[fe80::1%eth0]:443", "fe80::/64"},
		"no address":             {"pipe", "pipe"},
		"a name with a port":     {"host:1", "host"},
	} {
		if got := peer.Source(c.address); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		one, other string
		want       bool
	}{
		"the same, with and without a port":      {"192.0.2.1", "192.0.2.1:443", true},
		"IPv4 within IPv6":                       {"192.0.2.1", "[::ffff:192.0.2.1]:443", true},
		"IPv6 in other words":                    {"2001:db8::1", "[2001:DB8:0:0:0::1]:443", true},
		"a neighbour in the same /64 is another": {"2001:db8::1", "[2001:db8::2]:443", false},
		"a longer number":                        {"192.0.2.1", "192.0.2.11:443", false},
		"nothing is nowhere":                     {"", "", false},
		"what is no address is nowhere":          {"pipe", "pipe", false},
	} {
		if got := peer.Same(c.one, c.other); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"[::ffff:192.0.2.1]:5": "192.0.2.1", "[2001:DB8::1]:5": "2001:db8::1", "pipe": ""} {
		if got, ok := peer.Host(address); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", address, got, ok)
		}
	}
}
