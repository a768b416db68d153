package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"sallyport/internal/fault"
)

// Lengths of passwords, in characters and bytes.
const (
	minPassword = 12
	maxPassword = 128
)

// passwordHash is an argon2id hash with what is needed to repeat it.
type passwordHash struct {
	Salt    []byte `json:"salt"`
	Hash    []byte `json:"hash"`
	Memory  uint32 `json:"memory_kib"`
	Time    uint32 `json:"time"`
	Threads uint8  `json:"threads"`
}

func checkPassword(password string) error {
	n := utf8.RuneCountInString(password)
	if n < minPassword || n > maxPassword {
		return fault.New(fault.BadParameter, "a password has between %d and %d characters", minPassword, maxPassword)
	}
	return nil
}

func hashPassword(password string) (*passwordHash, error) {
	h := &passwordHash{Salt: make([]byte, 16), Memory: 19 << 10, Time: 2, Threads: 1} // OWASP's first choice for argon2id
	if _, err := rand.Read(h.Salt); err != nil {
		return nil, fmt.Errorf("making salt: %w", err)
	}
	h.Hash = h.compute(password)
	return h, nil
}

func (h *passwordHash) compute(password string) []byte {
	return argon2.IDKey([]byte(password), h.Salt, h.Time, h.Memory, h.Threads, 32)
}

// verifyPassword compares in the same time whatever the outcome. A nil hash stands for a user without a
// password and never matches. Few hashes are computed at once, so that logins cannot exhaust memory.
func (a *Authority) verifyPassword(ctx context.Context, h *passwordHash, password string) (bool, error) {
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	known := h != nil
	if !known {
		h = a.dummyHash
	}
	if len(password) > 4*maxPassword {
		password = ""
	}
	same := subtle.ConstantTimeCompare(h.compute(password), h.Hash) == 1
	return same && known, nil
}
