package session_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/engine/enginetest"
)

// TestRefusedVisitorsRecordLittle of what cannot be read: that they fill the log is all they can do.
func TestRefusedVisitorsRecordLittle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		want    int
	}{
		"somebody who is refused": {errors.New("your certificate expired"), 64},
		"a user":                  {nil, 5000},
	} {
		s, journal := enginetest.NewSession(t, enginetest.Config{
			Database: enginetest.NewDatabase(t, "postgres", listen(t), nil), Credentials: enginetest.AccountsOnly, Refusal: c.refusal,
		})
		if _, err := s.Record(t.Context(), &audit.MalformedPacket{Payload: bytes.Repeat([]byte{'x'}, 5000)}); err != nil {
			t.Fatal(err)
		}
		events := journal.Events("db.session.malformed_packet")
		if len(events) != 1 {
			t.Fatalf("%s: recorded %v", name, events)
		}
		if kept, err := base64.StdEncoding.DecodeString(events[0].Text("payload")); err != nil || len(kept) != c.want {
			t.Errorf("%s: %d bytes are kept, %v", name, len(kept), err)
		}
	}
}
