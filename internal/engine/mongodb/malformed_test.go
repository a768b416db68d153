package mongodb_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
)

// TestSecretsInWhatCannotBeReadAreNotRecorded sends a login with a flag that nobody knows.
func TestSecretsInWhatCannotBeReadAreNotRecorded(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{}, func(*enginetest.Config) {})
	c := connectRaw(t, agent)
	if _, err := c.run(patience(t), hello()); err != nil {
		t.Fatal(err)
	}
	m := message(t, 7, 0, in("$external", e("saslStart", 1), e("mechanism", "PLAIN"), e("payload", []byte("\x00app\x00hunter2"))))
	m[16] = 0x40
	write(t, c, m)
	half(t, c)
	v := agent.Visit(t, 0)
	_ = v.Wait(t)
	events := v.Journal.Events("db.session.malformed_packet")
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	payload, err := base64.StdEncoding.DecodeString(events[0].Text("payload"))
	if err != nil || strings.Contains(string(payload), "hunter2") || !strings.HasSuffix(string(payload), "sasl") {
		t.Errorf("recorded %q, %v", payload, err)
	}
}
