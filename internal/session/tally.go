package session

import (
	"sync/atomic"

	"sallyport/internal/audit"
)

// Tally counts what sessions have recorded of their clients' commands. The zero value is ready; safe for concurrent use.
type Tally struct {
	Succeeded atomic.Int64 // commands, by what the database answered
	Failed    atomic.Int64
	Refused   atomic.Int64 // commands that were not passed on
	Malformed atomic.Int64 // messages that could not be read
}

// count adds an event that was recorded.
func (t *Tally) count(event audit.SessionEvent) {
	if t == nil {
		return
	}
	switch v := event.(type) {
	case *audit.DatabaseResult:
		if v.Success {
			t.Succeeded.Add(int64(1 + len(v.Following)))
		} else {
			t.Failed.Add(1)
		}
	case *audit.DatabaseQueryFailed:
		t.Refused.Add(1)
	case *audit.MySQLCommand:
		if !v.Success {
			t.Refused.Add(1)
		}
	case *audit.MalformedPacket:
		t.Malformed.Add(1)
	}
}
