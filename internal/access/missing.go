package access

import (
	"time"

	"sallyport/internal/resource"
)

// missingVersion marks the stand-in for a role that is gone.
const missingVersion = "missing"

// InForce returns the role, or, when it is nil or has expired, a stand-in of the name that denies
// everything: nobody knows what the role denied, so losing it must not widen what its holders may do.
func InForce(name string, role *resource.Role, now time.Time) *resource.Role {
	if role != nil && (role.Metadata.Expires == nil || now.Before(*role.Metadata.Expires)) {
		return role
	}
	return &resource.Role{Header: resource.Header{Kind: resource.KindRole, Version: missingVersion, Metadata: resource.Metadata{Name: name}}}
}
