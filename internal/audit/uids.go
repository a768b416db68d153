package audit

import (
	"fmt"
	"io"
	"sync"

	"github.com/google/uuid"
)

// UIDs makes random event ids (UUIDv4), reading randomness in batches. It is safe for concurrent use
// and meant to be shared by a whole process.
type UIDs struct {
	random io.Reader

	mu   sync.Mutex
	buf  [64 * 16]byte // guarded by mu
	left int           // unused bytes at the end of buf; guarded by mu
}

// NewUIDs reads randomness from random, which is crypto/rand.Reader outside tests.
func NewUIDs(random io.Reader) *UIDs { return &UIDs{random: random} }

// Next returns a new id.
func (u *UIDs) Next() (id uuid.UUID, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left == 0 {
		if _, err := io.ReadFull(u.random, u.buf[:]); err != nil {
			return uuid.Nil, fmt.Errorf("making an event id: %w", err)
		}
		u.left = len(u.buf)
	}
	copy(id[:], u.buf[len(u.buf)-u.left:])
	u.left -= len(id)
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id, nil
}
