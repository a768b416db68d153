package credentials

import (
	"crypto/sha1" // a short name, not a proof
	"encoding/hex"
	"regexp"
	"strings"
)

// Rules for names of role sessions (AWS STS API reference, AssumeRole, RoleSessionName).
const (
	minSessionName = 2
	maxSessionName = 64
	hashLength     = 16
	keptLength     = maxSessionName - 1 - hashLength
)

var (
	hashed = regexp.MustCompile(`-[0-9a-f]{16}$`)
	valid  = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
)

// SessionName returns the name under which a user's role sessions appear in AWS: the user's own name where
// AWS accepts it, otherwise as much of it as fits and a hash of all of it. Two users never have the same one;
// that is why a name that only looks like one with a hash gets another.
func SessionName(user string) string {
	if valid.MatchString(user) && !hashed.MatchString(user) {
		return user
	}
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && strings.ContainsRune("_+=,.@-", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, user)
	sum := sha1.Sum([]byte(user))
	return name[:min(len(name), keptLength)] + "-" + hex.EncodeToString(sum[:])[:hashLength]
}
