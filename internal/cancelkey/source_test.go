package cancelkey_test

import (
	"testing"

	"sallyport/internal/cancelkey"
)

func TestWhoeverASecretDoesNotNameIsKnownByAddress(t *testing.T) {
	t.Parallel()
	for protocol, want := range map[string]string{
		"postgres": "192.0.2.1",
		"mysql":    "owner 6f776e6572", // without the last byte
		"redis":    "192.0.2.1",
		"gopher":   "192.0.2.1",
		"":         "192.0.2.1",
	} {
		key := cancelkey.Key{Protocol: protocol, Secret: []byte("owner!"), ClientAddress: "192.0.2.1:1024"}
		if got := key.Source(); got != want {
			t.Errorf("%q: %s, want %s", protocol, got, want)
		}
	}
}
