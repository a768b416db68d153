package access

import (
	"slices"

	"sallyport/internal/resource"
)

// Visible reports whether the database is shown in lists: labels decide alone.
func Visible(c Caller, db *resource.Database, labels map[string]string) bool {
	return Compile(c).Visible(db, labels)
}

// AllowedUsers returns the accounts of the database that roles allow and deny, for showing. Both are
// sorted and may contain "*"; a denied account is not listed as allowed.
func AllowedUsers(c Caller, db *resource.Database, labels map[string]string) (allowed, denied []string) {
	return Compile(c).AllowedUsers(db, labels)
}

// AllowedNames is AllowedUsers for logical databases.
func AllowedNames(c Caller, db *resource.Database, labels map[string]string) (allowed, denied []string) {
	return Compile(c).AllowedNames(db, labels)
}

// UserIn reports whether lists as AllowedUsers returns them allow an account of the database, in whichever way it is written.
func UserIn(db *resource.Database, allowed, denied []string, user string) bool {
	m := usersOf(db)
	return m.allowed(allowed, user) && !m.denied(denied, user)
}

// NameIn is UserIn for logical databases, in lists as AllowedNames returns them.
func NameIn(allowed, denied []string, name string) bool {
	return matchName(allowed, name) && !matchName(denied, name)
}

// Visible reports whether the database is shown in lists.
func (p *Policy) Visible(db *resource.Database, labels map[string]string) bool {
	visible := false
	for i := range p.roles {
		r := &p.roles[i]
		if db == nil || r.denyError != nil || r.deny.labels.match(labels) {
			return false
		}
		visible = visible || r.allowError == nil && r.allow.labels.match(labels)
	}
	return visible
}

// AllowedUsers returns what the function of the same name does.
func (p *Policy) AllowedUsers(db *resource.Database, labels map[string]string) (allowed, denied []string) {
	return p.allowed(db, labels, usersOf(db).denied, func(c *conditions) []string { return c.users })
}

// AllowedNames returns what the function of the same name does.
func (p *Policy) AllowedNames(db *resource.Database, labels map[string]string) (allowed, denied []string) {
	return p.allowed(db, labels, matchName, func(c *conditions) []string { return c.names })
}

func (p *Policy) allowed(db *resource.Database, labels map[string]string, denies func(list []string, name string) bool, list func(*conditions) []string) (allowed, denied []string) {
	if !p.Visible(db, labels) {
		return nil, nil
	}
	for i := range p.roles {
		denied = append(denied, list(&p.roles[i].deny)...)
	}
	for i := range p.roles {
		r := &p.roles[i]
		if r.allowError != nil || !r.allow.labels.match(labels) {
			continue
		}
		for _, name := range list(&r.allow) {
			if !denies(denied, name) {
				allowed = append(allowed, name)
			}
		}
	}
	return sorted(allowed), sorted(denied)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
