package mongodb_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"sallyport/internal/engine/mongodb/mongotest"
)

// TestSecretsInWhatCannotBeReadAreNotRecorded sends logins in messages that cannot be read, as the first message of a
// connection and as a later one.
func TestSecretsInWhatCannotBeReadAreNotRecorded(t *testing.T) {
	t.Parallel()
	login := message(t, 7, 1<<6, in("$external", e("saslStart", 1), e("mechanism", "PLAIN"), e("payload", []byte("\x00app\x00hunter2"))))
	speculative := message(t, 7, 1<<6, hello(e("speculativeAuthenticate", d(e("payload", []byte("hunter2"))))))
	compressed := append([]byte{0xdd, 7, 0, 0, 100, 0, 0, 0, 1}, "\x64\x40hunter2"...)
	agent, _ := small(t, mongotest.Options{})
	visits := 0
	for name, c := range map[string]struct {
		message []byte
		end     string
	}{
		"a flag that nobody knows":             {login, "sasl"},
		"a flag that nobody knows, in a hello": {speculative, "speculativeAuthenticate"},
		"a compressed message":                 {append(header(int32(16+len(compressed)), 2012), compressed...), "\xdc\x07\x00\x00"},
	} {
		for _, first := range []bool{true, false} {
			client := connectRaw(t, agent)
			if !first {
				if _, err := client.run(patience(t), hello()); err != nil {
					t.Fatal(err)
				}
			}
			write(t, client, c.message)
			half(t, client)
			v := agent.Visit(t, visits)
			visits++
			_ = v.Wait(t)
			events := v.Journal.Events("db.session.malformed_packet")
			if len(events) != 1 {
				t.Errorf("%s, first: %t: %d events", name, first, len(events))
				continue
			}
			payload, err := base64.StdEncoding.DecodeString(events[0].Text("payload"))
			if err != nil || strings.Contains(string(payload), "hunter2") || !strings.HasSuffix(string(payload), c.end) {
				t.Errorf("%s, first: %t: recorded %q, %v", name, first, payload, err)
			}
		}
	}
}
