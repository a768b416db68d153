// Package audittest checks in tests that what the log has of a session is whole.
package audittest

import (
	"fmt"

	"github.com/google/uuid"

	"sallyport/internal/audit"
)

// verifier checks that the events of one session are a whole chain. Events are added in the order of their index,
// without those that are not chained. The zero value is ready.
type verifier struct {
	sid   uuid.UUID
	next  int64
	prev  audit.Hash
	ended bool
}

// add checks the next event.
func (v *verifier) add(f *audit.Fields) error {
	start, end := (*audit.DatabaseSessionStart)(nil), (*audit.DatabaseSessionEnd)(nil)
	switch {
	case v.next > 0 && f.SID != v.sid:
		return fmt.Errorf("event %d belongs to session %s, not to %s", f.Index, f.SID, v.sid)
	case f.Type == end.Type() && f.Index == audit.MaxIndex && v.next > 0 && !v.ended: // by the auth server, for an agent that was lost
		v.ended = true
		return nil
	case v.ended:
		return fmt.Errorf("event %d follows the end of the session", f.Index)
	case f.Index != v.next:
		return fmt.Errorf("event %d stands where event %d is expected", f.Index, v.next)
	case f.Prev != v.prev:
		return fmt.Errorf("event %d does not follow from the event before it: one of them was changed", f.Index)
	case (f.Index == 0) != (f.Type == start.Type()):
		return fmt.Errorf("event %d is a %s: a session has one start, at index 0", f.Index, f.Type)
	}
	v.sid = f.SID
	v.next++
	v.prev = audit.HashOf(f.Raw)
	v.ended = f.Type == end.Type() || f.Type == start.Type() && !f.Success
	return nil
}

// finish checks that the session is complete.
func (v *verifier) finish() error {
	if !v.ended {
		return fmt.Errorf("the session has no end: event %d is missing", v.next)
	}
	return nil
}

// Verify checks the chain of a session whose events are given in the order of their index. Events
// that name the session without being a link of its chain are passed over.
func Verify(lines [][]byte) error {
	var v verifier
	for _, line := range lines {
		f, err := audit.Parse(line)
		if err != nil {
			return err
		}
		if !f.Chained() {
			continue
		}
		if err := v.add(&f); err != nil {
			return err
		}
	}
	return v.finish()
}
