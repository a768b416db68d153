package access_test

import (
	"testing"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/resource"
)

func TestRolesThatAreGoneDenyEverything(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := role(t, "all", `{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*'], rules: [{resources: ['*'], verbs: ['*']}]}}`)
	past, later := now.Add(-time.Second), now.Add(time.Second)
	for name, c := range map[string]struct {
		role    *resource.Role
		expires *time.Time
		allowed bool
	}{
		"no role":              {nil, nil, false},
		"a role that expired":  {role(t, "r", `{}`), &past, false},
		"a role that will":     {role(t, "r", `{}`), &later, true},
		"a role that will not": {role(t, "r", `{}`), nil, true},
	} {
		if c.role != nil {
			c.role.Metadata.Expires = c.expires
		}
		caller := access.Caller{User: "alice", Roles: []*resource.Role{all, access.InForce("r", c.role, now)}}
		db := target("postgres", "app", "orders", nil)
		if got := access.Check(caller, db).Allowed; got != c.allowed {
			t.Errorf("%s: a session is allowed: %v", name, got)
		}
		if got := access.Visible(caller, db.Database, nil); got != c.allowed {
			t.Errorf("%s: a database is visible: %v", name, got)
		}
		if got := access.CheckRule(caller, resource.KindUser, resource.VerbRead, access.RuleContext{}).Allowed; got != c.allowed {
			t.Errorf("%s: a call is allowed: %v", name, got)
		}
	}
}
