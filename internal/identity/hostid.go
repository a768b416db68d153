package identity

import (
	"regexp"

	"github.com/google/uuid"
)

var instanceHost = regexp.MustCompile(`^[0-9]{12}-i-[0-9a-f]{8,17}$`)

// IsHostID reports whether the text is the id of a host: a UUID that the host made, or account and instance of a host that
// joined with the identity of its EC2 instance.
func IsHostID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id || instanceHost.MatchString(id)
}
