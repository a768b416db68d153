package access

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// The checks in this file keep people from raising their own rights with a verb they rightly have. They
// look at what the change would give to the editor, not to others: an administrator without access to
// databases has to be able to give it to those who need it.
//
// Whether one set of roles grants more than another cannot be told in general, since a denial, a label
// or an expression that goes away may grant as much as one that is added. So nobody changes the
// rules that apply to oneself; somebody else does, or the administrator's identity on the auth host,
// which has no roles and is not asked here.

// CheckGrant refuses the creation or update of a role that the editor holds, unless what it says stays
// the same. The description, labels and expiry of the role may change, except that a role the editor
// holds cannot be made to live longer.
func CheckGrant(editor Caller, newRole *resource.Role) error {
	i := slices.IndexFunc(editor.Roles, func(r *resource.Role) bool { return r.GetName() == newRole.GetName() })
	if i < 0 {
		return nil
	}
	held := editor.Roles[i]
	if held.Version == newRole.Version && equalJSON(held.Spec, newRole.Spec) && !outlives(newRole.Meta(), held.Meta()) {
		return nil
	}
	return fault.New(fault.AccessDenied, "you hold the role %q and cannot change what it allows; ask another administrator, or use tctl on the auth host", newRole.GetName())
}

// CheckUserGrant refuses an update by which editors change their own roles or traits, make their own account
// live longer or unlock it, and the creation of a user under a name that is taken for the editor's. account is
// the editor's as it is now.
func CheckUserGrant(editor Caller, account, newUser *resource.User) error {
	if resource.CanonicalUserName(newUser.GetName()) != resource.CanonicalUserName(editor.User) {
		return nil
	}
	names := make([]string, len(editor.Roles))
	for i, role := range editor.Roles {
		names[i] = role.GetName()
	}
	if newUser.GetName() != editor.User || !sameSet(names, newUser.Spec.Roles) || !sameTraits(editor.Traits, newUser.Spec.Traits) {
		return fault.New(fault.AccessDenied, "you cannot change your own roles or traits; ask another administrator, or use tctl on the auth host")
	}
	if later(newUser.Spec.Expires, account.Spec.Expires) || outlives(newUser.Meta(), account.Meta()) {
		return fault.New(fault.AccessDenied, "you cannot make your own account live longer; ask another administrator, or use tctl on the auth host")
	}
	if old := account.Spec.Status; old != (resource.LoginStatus{}) && !equalJSON(old, newUser.Spec.Status) {
		return fault.New(fault.AccessDenied, "you cannot unlock your own account; ask another administrator, or use tctl on the auth host")
	}
	return nil
}

// CheckDatabaseGrant refuses a change by which a database comes under roles of the editor, or leaves
// their denials. before is nil for a new database. A database that is new, points elsewhere or gets its
// dynamic labels from other commands may be anything, so editors can make one only within reach of
// roles that do not depend on labels, or out of their own reach.
func CheckDatabaseGrant(editor Caller, before, after *resource.Database) error {
	unknown := before == nil || !sameEndpoint(before, after)
	var old map[string]string
	if before != nil {
		old = before.AllLabels()
	}
	labels := after.AllLabels()
	p := Compile(editor)
	if !p.Visible(after, labels) {
		return nil
	}
	for i := range p.roles {
		allow, deny := &p.roles[i].allow.labels, &p.roles[i].deny.labels
		had := !unknown && allow.match(old) || allow.matchesAll()
		denied := unknown && !deny.empty() || !unknown && deny.match(old)
		if allow.match(labels) && !had || denied && !deny.match(labels) {
			return fault.New(fault.AccessDenied, "the database %q would come within reach of your own roles; ask another administrator, or use tctl on the auth host", after.GetName())
		}
	}
	return nil
}

func sameEndpoint(a, b *resource.Database) bool {
	x, y := a.Spec, b.Spec
	return x.URI == y.URI && x.Protocol == y.Protocol && equalJSON(x.DynamicLabels, y.DynamicLabels) &&
		equalJSON([]any{x.AWS, x.GCP, x.Azure, x.MongoAtlas, x.AdminUser}, []any{y.AWS, y.GCP, y.Azure, y.MongoAtlas, y.AdminUser})
}

func outlives(a, b *resource.Metadata) bool { return later(a.Expires, b.Expires) }

// later reports whether an expiry, nil for never, is after another.
func later(a, b *time.Time) bool { return b != nil && (a == nil || a.After(*b)) }

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func sameSet(a, b []string) bool {
	return slices.Equal(sorted(slices.Clone(a)), sorted(slices.Clone(b)))
}

// sameTraits ignores traits without values, which mean the same as missing ones.
func sameTraits(a, b map[string][]string) bool {
	covers := func(a, b map[string][]string) bool {
		for name, values := range a {
			if len(values) > 0 && !sameSet(values, b[name]) {
				return false
			}
		}
		return true
	}
	return covers(a, b) && covers(b, a)
}
