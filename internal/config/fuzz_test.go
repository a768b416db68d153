package config_test

import (
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/fault"
)

// FuzzParse checks that any text gives a configuration or sentences, never a crash.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version: v3\nteleport:\n  proxy_server: p:443\n  ca_pin: [a, b]\nauth_service: {enabled: no, client_idle_timeout: never}\n"))
	f.Add([]byte("db_service:\n  databases:\n  - &a {name: x, protocol: postgres, uri: 'h:1', static_labels: {<<: {b: c}}}\n  - *a\n"))
	f.Add([]byte("a: |\n  text\nb: !!str 1\n? c\n: d\n--- \n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data, "f", env(nil))
		if err == nil && c == nil || err != nil && (c != nil || !fault.Is(err, fault.BadParameter) || fault.Message(err) == "") {
			t.Errorf("configuration %v, error %v", c, err)
		}
	})
}
