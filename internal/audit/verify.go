package audit

import (
	"fmt"

	"github.com/google/uuid"
)

// Verifier checks that the events of one session are a whole chain. Add the events in the order of
// their index, without those that are not chained, then call Finish. The zero value is ready.
type Verifier struct {
	sid   uuid.UUID
	next  int64
	prev  Hash
	ended bool
}

// Add checks the next event.
func (v *Verifier) Add(f *Fields) error {
	start, end := (*DatabaseSessionStart)(nil), (*DatabaseSessionEnd)(nil)
	switch {
	case v.next > 0 && f.SID != v.sid:
		return fmt.Errorf("event %d belongs to session %s, not to %s", f.Index, f.SID, v.sid)
	case f.Type == end.Type() && f.Index == MaxIndex && v.next > 0 && !v.ended: // by the auth server, for an agent that was lost
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
	v.prev = HashOf(f.Raw)
	v.ended = f.Type == end.Type() || f.Type == start.Type() && !f.Success
	return nil
}

// Finish checks that the session is complete.
func (v *Verifier) Finish() error {
	if !v.ended {
		return fmt.Errorf("the session has no end: event %d is missing", v.next)
	}
	return nil
}

// Verify checks the chain of a session whose events are given in the order of their index. Events
// that name the session without being a link of its chain are passed over.
func Verify(lines [][]byte) error {
	var v Verifier
	for _, line := range lines {
		f, err := Parse(line)
		if err != nil {
			return err
		}
		if !f.Chained() {
			continue
		}
		if err := v.Add(&f); err != nil {
			return err
		}
	}
	return v.Finish()
}
