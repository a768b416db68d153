package mysql

import (
	"crypto/sha256"
	"crypto/subtle"
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

// secret is what other agents know a session's owner by in a request to kill: a hash of the names, and what to kill.
func (o owner) secret(how killing) []byte {
	names := binary.BigEndian.AppendUint32(nil, uint32(len(o.user)))
	sum := sha256.Sum256(append(append(names, o.user...), o.database...))
	return append(sum[:], byte(how))
}

const secretSize = sha256.Size + 1

// opens returns what a secret of this owner is to kill, or 0.
func (o owner) opens(secret []byte) killing {
	for _, how := range []killing{killQuery, killConnection} {
		if subtle.ConstantTimeCompare(o.secret(how), secret) == 1 {
			return how
		}
	}
	return 0
}
