package mysql

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"sallyport/internal/session"
)

// killing says what ends with a kill.
type killing byte

const (
	killQuery      killing = 1 // what the session runs
	killConnection killing = 2
)

func (k killing) statement(number uint32) string {
	if k == killQuery {
		return fmt.Sprintf("KILL QUERY %d", number)
	}
	return fmt.Sprintf("KILL %d", number)
}

// owner is to whom sessions belong that may kill each other: those of one user at one database.
type owner struct{ user, database string }

func ownerOf(s *session.Session) owner {
	return owner{s.Identity().Name, s.Database().GetName()}
}

// tag names an owner in a request to kill that goes to other agents: a hash of the names, of a length of its own, and what to kill. It is
// no secret. What makes a request the owner's is that only the agent of one of the owner's sessions sends it, and that agents and
// proxies take requests from each other alone (docs/security.md).
func (o owner) tag(how killing) []byte {
	names := binary.BigEndian.AppendUint32(nil, uint32(len(o.user)))
	sum := sha256.Sum256(append(append(names, o.user...), o.database...))
	return append(sum[:], byte(how))
}

const tagSize = sha256.Size + 1

// asks returns what a tag of this owner is to kill, or 0 for somebody else's.
func (o owner) asks(tag []byte) killing {
	for _, how := range []killing{killQuery, killConnection} {
		if bytes.Equal(o.tag(how), tag) {
			return how
		}
	}
	return 0
}
