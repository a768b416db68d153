package access

import (
	"strings"

	"sallyport/internal/resource"
)

// matchName compares exactly; a list entry "*" stands for any name.
func matchName(list []string, name string) bool { return userMatch{}.allowed(list, name) }

// userMatch says which ways to write a user of a database mean the same one. The zero value knows one way.
type userMatch struct {
	fold bool                                 // case is ignored in the way CockroachDB does it, by comparing lower-case forms
	same func(a, b string) (same, maybe bool) // nil where users are no roles of AWS
}

func usersOf(db *resource.Database) userMatch {
	if db == nil {
		return userMatch{}
	}
	return userMatch{fold: db.Spec.Protocol == resource.ProtocolCockroachDB, same: db.SameUser()}
}

// allowed reports whether a list that allows means the user.
func (m userMatch) allowed(list []string, user string) bool {
	same, _ := m.match(list, user)
	return same
}

// denied reports whether a list that denies means the user, or may mean it.
func (m userMatch) denied(list []string, user string) bool {
	same, maybe := m.match(list, user)
	return same || maybe
}

func (m userMatch) match(list []string, user string) (same, maybe bool) {
	for _, entry := range list {
		if entry == "*" || entry == user || m.fold && lower(entry) == lower(user) {
			return true, true
		}
		if m.same == nil || user == "" {
			continue
		}
		isSame, mayBe := m.same(entry, user)
		same, maybe = same || isSame, maybe || mayBe
	}
	return same, maybe
}

func lower(s string) string { return strings.ToLower(s) }
