package postgres

import (
	"time"

	"sallyport/internal/audit"
)

// statement is a prepared statement.
type statement struct {
	name  string
	text  []byte
	types []uint32 // object ids of the parameters' types, as far as known

	touches touches
	change  *change // what executing it does, where that is understood

	executed bool // in the write that prepares it; of the goroutine that reads from the client
}

// portal is a statement with values. One that is replaced may be used again by the goroutine that reads
// from the client; nobody else writes to it.
type portal struct {
	name       string
	statement  *statement // nil when its text was never seen here, as with PREPARE in SQL
	named      string     // what the client called the statement
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

// size is what a portal keeps of its Bind.
func (p *portal) size() int { return len(p.values) }
