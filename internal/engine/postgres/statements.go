package postgres

import (
	"bytes"
	"time"
	"unsafe"

	"sallyport/internal/audit"
	"sallyport/internal/inbox"
)

// statement is a prepared statement.
type statement struct {
	name  string
	text  []byte
	types []uint32 // object ids of the parameters' types, as far as known
	room  int      // types for which room is counted

	touches touches
	change  *change // what executing it does, where that is understood

	executed bool // in the write that prepares it; of the goroutine that reads from the client
}

// newStatement takes what it is given, and finds out what it does.
func newStatement(name string, text []byte, types []uint32) *statement {
	const most = 1<<16 - 1
	return &statement{name: name, text: text, types: types, touches: touchedBy(text), room: max(len(types), min(bytes.Count(text, []byte("$")), most))}
}

// size is what is kept of a statement, in bytes.
func (s *statement) size() int {
	const ofType = 4
	return len(s.text) + s.room*ofType
}

// portal is a statement with values. One that is replaced may be used again by the goroutine that reads
// from the client; nobody else writes to it.
type portal struct {
	name       string
	statement  *statement // nil when its text was never seen here, as with PREPARE in SQL
	named      string     // what the client called the statement
	kept       int        // bytes that are counted for it
	values     []byte     // the values' bytes, one after the other
	parameters []audit.Parameter
	shown      []audit.Parameter // with binary values as text where that is possible
	converted  []byte            // those texts

	uncertain bool // another statement may have been meant
	executed  bool // in the write that binds it; of the goroutine that reads from the client

	event   int64     // index of the event of its Bind, or 0; guarded by relay.mu, like what follows
	began   time.Time // of that
	skipped bool      // the database has not seen its Bind
}

// forgetShown forgets texts of values, once they are recorded, if they are more than a little.
func (p *portal) forgetShown() {
	if cap(p.converted) > inbox.Small {
		p.converted, p.shown = nil, nil
	}
}

// size is what a portal keeps of its Bind, in bytes.
func (p *portal) size() int {
	const ofParameter = int(unsafe.Sizeof(audit.Parameter{}))
	return cap(p.values) + 2*cap(p.parameters)*ofParameter // which are there once more as they are shown
}
