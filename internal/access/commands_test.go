package access_test

import (
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/resource"
)

func TestDeniedCommands(t *testing.T) {
	t.Parallel()
	allows := `{allow: {db_labels: {'*': '*'}, db_commands: ['*']}}`
	denies := func(commands string) string { return `{deny: {db_commands: [` + commands + `]}}` }
	for name, tc := range map[string]struct {
		roles   []string
		command string
		want    bool
	}{
		"no role":                    {nil, "flushall", false},
		"a role that denies nothing": {[]string{allows}, "flushall", false},
		"by its name":                {[]string{allows, denies("flushall")}, "flushall", true},
		"in other letters":           {[]string{denies("FlushAll")}, "flushall", true},
		"by two words":               {[]string{denies("config set")}, "config set", true},
		"the other of two words":     {[]string{denies("config set")}, "config get", false},
		"by the first word":          {[]string{denies("config")}, "config get", true},
		"by the star":                {[]string{denies("'*'")}, "get", true},
		"by a trait":                 {[]string{denies(`"{{internal.db_users}}"`)}, "alice_ro", true},
		"another command":            {[]string{denies("get, set")}, "getdel", false},
		"of several roles":           {[]string{denies("get"), denies("set")}, "set", true},
		"by a trait that is no name": {[]string{denies(`"{{external.odd}}"`)}, "get", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := access.Caller{User: "alice", Traits: map[string][]string{"db_users": {"alice_ro"}, "odd": {"config|set"}}}
			for _, spec := range tc.roles {
				c.Roles = append(c.Roles, role(t, "r", spec))
			}
			if got := access.DeniedCommands(c).Has(tc.command); got != tc.want {
				t.Errorf("denied: %t", got)
			}
		})
	}
	unreadable := role(t, "r", allows)
	unreadable.Version = "v99"
	if !access.DeniedCommands(access.Caller{Roles: []*resource.Role{unreadable}}).Has("get") {
		t.Error("a role that cannot be understood denies nothing")
	}
}
