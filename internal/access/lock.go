package access

import (
	"slices"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// LockSubject is everything a lock may target in one session, call or certificate.
type LockSubject struct {
	User           string
	Roles          []string
	Login          string
	MFADevice      string
	WindowsDesktop string
	AccessRequests []string
	Device         string
	ServerID       string // host id of the agent
	BotInstanceID  string
	JoinToken      string
}

// MatchLock reports whether a lock is in force at now and targets the subject. All fields of the
// target that are set must match; a target without fields matches nobody. User names are compared in
// their canonical form, so that a lock cannot be evaded by typing a name differently.
func MatchLock(l *resource.Lock, s LockSubject, now time.Time) bool {
	for _, expires := range []*time.Time{l.Spec.Expires, l.Metadata.Expires} {
		if expires != nil && !now.Before(*expires) {
			return false
		}
	}
	t := l.Spec.Target
	if t == (resource.LockTarget{}) {
		return false
	}
	one := func(want, have string) bool { return want == "" || want == have }
	among := func(want string, have []string) bool { return want == "" || slices.Contains(have, want) }
	return one(resource.CanonicalUserName(t.User), resource.CanonicalUserName(s.User)) &&
		among(t.Role, s.Roles) &&
		one(t.Login, s.Login) &&
		one(t.MFADevice, s.MFADevice) &&
		one(t.WindowsDesktop, s.WindowsDesktop) &&
		among(t.AccessRequest, s.AccessRequests) &&
		one(t.Device, s.Device) &&
		one(t.ServerID, s.ServerID) &&
		one(t.Node, s.ServerID) &&
		one(t.BotInstanceID, s.BotInstanceID) &&
		one(t.JoinToken, s.JoinToken)
}

// LockedError is what the target of a lock is told.
func LockedError(l *resource.Lock) error {
	if l.Spec.Message == "" {
		return fault.New(fault.AccessDenied, "lock targeting %s is in force", l.Spec.Target)
	}
	return fault.New(fault.AccessDenied, "lock targeting %s is in force: %s", l.Spec.Target, l.Spec.Message)
}
