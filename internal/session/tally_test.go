package session_test

import (
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/session"
)

// TestTally counts what sessions record, by how it ended.
func TestTally(t *testing.T) {
	t.Parallel()
	tally := new(session.Tally)
	for range 2 {
		s, _ := enginetest.NewSession(t, enginetest.Config{
			Database:    enginetest.NewDatabase(t, "postgres", listen(t), nil),
			Credentials: enginetest.AccountsOnly,
			Options:     access.SessionOptions{}, Tally: tally,
		})
		for _, event := range []audit.SessionEvent{
			&audit.DatabaseQuery{Query: []byte("select 1")},
			&audit.DatabaseResult{Status: audit.Status{Success: true}},
			&audit.DatabaseResult{Status: audit.Status{Success: true}, Following: []audit.Outcome{{}, {}}},
			&audit.DatabaseResult{Status: audit.Status{Error: "division by zero"}},
			&audit.DatabaseResult{Status: audit.Status{Error: "not known"}},
			&audit.DatabaseQueryFailed{Error: "denied"},
			&audit.MySQLCommand{Command: "change_user"},
			&audit.MySQLCommand{Command: "ping", Status: audit.Status{Success: true}},
			&audit.MalformedPacket{Payload: []byte{1}},
		} {
			if _, err := s.Record(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tally.Succeeded.Load() != 8 || tally.Failed.Load() != 4 || tally.Refused.Load() != 4 || tally.Malformed.Load() != 2 {
		t.Errorf("%d ok, %d failed, %d refused, %d malformed", tally.Succeeded.Load(), tally.Failed.Load(), tally.Refused.Load(), tally.Malformed.Load())
	}
}
