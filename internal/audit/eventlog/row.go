package eventlog

import (
	"hash/fnv"
	"strings"

	"github.com/google/uuid"

	"sallyport/internal/audit"
)

// row is one line as the index sees it.
type row struct {
	index int64
	time  int64    // Unix milliseconds
	keys  [3]int64 // what the line can be found by; 0 for nothing
	at    span

	session uuid.UUID
	ei      int64 // -1 for a line that is no link of a session's chain
	state   int   // what the line says of the session, bits of sessionAt.state
	stream  streamKey
	seq     uint64
}

// span is where a line stands.
type span struct {
	name   string
	offset int64
	length int
}

func newRow(f *audit.Fields, envelope *Envelope, at span) row {
	r := row{
		index: envelope.Index, time: f.Time.UnixMilli(), at: at, ei: -1,
		stream: streamKey{envelope.Host, envelope.Stream}, seq: envelope.Seq,
	}
	if !isBulk(f.Type) {
		r.keys[0] = typeKey(f.Type)
	}
	if f.User != "" {
		r.keys[1] = userKey(f.User)
	}
	if f.SID != uuid.Nil {
		r.keys[2] = sessionKeyOf(f.SID)
	}
	if f.Chained() {
		r.session, r.ei, r.state = f.SID, f.Index, stateOf(f)
	}
	return r
}

// stateOf returns what an event of a session's chain says of the session.
func stateOf(f *audit.Fields) int {
	switch {
	case f.Type == typeStart && f.Success:
		return started
	case f.Type == typeEnd:
		return ended
	}
	return 0
}

var (
	typeStart = (*audit.DatabaseSessionStart)(nil).Type()
	typeEnd   = (*audit.DatabaseSessionEnd)(nil).Type()
)

// isBulk reports whether events of the type come with every statement. They are in nearly every chunk, so
// that an index by their type would not help.
func isBulk(kind string) bool {
	return kind == "db.session.query" || kind == "db.session.result" || strings.HasPrefix(kind, "db.session.postgres.")
}

func typeKey(kind string) int64        { return hashOf("t", kind) }
func userKey(user string) int64        { return hashOf("u", user) }
func sessionKeyOf(sid uuid.UUID) int64 { return hashOf("s", string(sid[:])) }

// hashOf returns the key under which the index finds a value. Two values may share one: what a key leads to
// is checked against the lines.
func hashOf(kind, value string) int64 {
	h := fnv.New64a()
	h.Write([]byte(kind))
	h.Write([]byte(value))
	return int64(h.Sum64())
}
