package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// role reads the spec of a v7 role, written as YAML.
func role(t testing.TB, name, spec string) *resource.Role {
	t.Helper()
	list, err := resource.ParseYAML([]byte("kind: role\nversion: v7\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return list[0].(*resource.Role)
}

// asking is a role that asks for a proof at each session, as one stored by another version of the program may.
func asking(t testing.TB, name string, mode resource.MFAMode, spec string) *resource.Role {
	t.Helper()
	r := role(t, name, spec)
	r.Spec.Options.RequireSessionMFA = mode
	return r
}

func target(protocol, user, name string, labels map[string]string) access.Target {
	return access.Target{
		Database:  &resource.Database{Spec: resource.DatabaseSpec{Protocol: protocol}},
		Labels:    labels,
		User:      user,
		Name:      name,
		CheckName: resource.EnforcesNames(protocol),
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const dba = `{allow: {db_labels: {env: [prod, stage]}, db_users: [app, "{{internal.db_users}}"], db_names: [orders]}}`
	prod := map[string]string{"env": "prod", "team": "red"}
	for name, tc := range map[string]struct {
		roles []string
		to    access.Target
		want  bool
		rule  string
	}{
		"no role allows nothing":                     {nil, target("postgres", "app", "orders", prod), false, ""},
		"one role allows all three":                  {[]string{dba}, target("postgres", "app", "orders", prod), true, `role "r0" allow`},
		"a trait names a user":                       {[]string{dba}, target("postgres", "alice_ro", "orders", prod), true, `role "r0" allow`},
		"another user":                               {[]string{dba}, target("postgres", "App", "orders", prod), false, ""},
		"another name":                               {[]string{dba}, target("postgres", "app", "users", prod), false, ""},
		"names are not enforced for mysql":           {[]string{dba}, target("mysql", "app", "users", prod), true, `role "r0" allow`},
		"other labels":                               {[]string{dba}, target("postgres", "app", "orders", map[string]string{"env": "dev"}), false, ""},
		"no labels":                                  {[]string{dba}, target("postgres", "app", "orders", nil), false, ""},
		"roles do not add up":                        {[]string{`{allow: {db_labels: {'*': '*'}, db_users: [app]}}`, `{allow: {db_labels: {'*': '*'}, db_names: [orders]}}`}, target("postgres", "app", "orders", prod), false, ""},
		"no selector allows nothing":                 {[]string{`{allow: {db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "orders", prod), false, ""},
		"no users allow nothing":                     {[]string{`{allow: {db_labels: {'*': '*'}, db_names: ['*']}}`}, target("postgres", "app", "orders", prod), false, ""},
		"denied labels alone reject":                 {[]string{dba, `{deny: {db_labels: {team: red}}}`}, target("postgres", "app", "orders", prod), false, `role "r1" deny.db_labels`},
		"a denied user alone rejects":                {[]string{dba, `{deny: {db_labels: {env: dev}, db_users: [app]}}`}, target("postgres", "app", "orders", prod), false, `role "r1" deny.db_users`},
		"a denied name alone rejects":                {[]string{dba, `{deny: {db_names: [orders]}}`}, target("postgres", "app", "orders", prod), false, `role "r1" deny.db_names`},
		"a denied name is not enforced for mysql":    {[]string{dba, `{deny: {db_names: ['*']}}`}, target("mysql", "app", "orders", prod), true, `role "r0" allow`},
		"a denied expression rejects without labels": {[]string{dba, `{deny: {db_labels: {x: y}, db_labels_expression: 'labels["team"] == "red"'}}`}, target("postgres", "app", "orders", prod), false, `role "r1" deny.db_labels_expression`},
		"labels and expression must both allow":      {[]string{`{allow: {db_labels: {env: prod}, db_labels_expression: 'labels["team"] == "blue"', db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "orders", prod), false, ""},
		"an expression alone allows":                 {[]string{`{allow: {db_labels_expression: 'contains(user.spec.traits["teams"], labels["team"])', db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "orders", prod), true, `role "r0" allow`},
		"a trait selects by label":                   {[]string{`{allow: {db_labels: {team: '{{external.teams}}'}, db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "orders", prod), true, `role "r0" allow`},
		"a missing trait selects nothing":            {[]string{`{allow: {db_labels: {team: '{{external.none}}'}, db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "orders", prod), false, ""},
		"case folds for CockroachDB users":           {[]string{dba}, target("cockroachdb", "APP", "", prod), true, `role "r0" allow`},
		"case folds for denied CockroachDB users":    {[]string{dba, `{deny: {db_users: [APP]}}`}, target("cockroachdb", "app", "", prod), false, `role "r1" deny.db_users`},
		"an empty user is nobody":                    {[]string{`{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}}`}, target("postgres", "", "orders", prod), false, ""},
		"an empty name is nothing":                   {[]string{`{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}}`}, target("postgres", "app", "", prod), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := access.Caller{User: "alice", Traits: map[string][]string{"db_users": {"alice_ro"}, "teams": {"red"}}}
			for i, spec := range tc.roles {
				c.Roles = append(c.Roles, role(t, fmt.Sprintf("r%d", i), spec))
			}
			d := access.Check(c, tc.to)
			if d.Allowed != tc.want || d.Rule != tc.rule || d.Reason == "" {
				t.Errorf("got %+v", d)
			}
			if err := d.Err(); (err == nil) != tc.want || err != nil && !fault.Is(err, fault.AccessDenied) {
				t.Errorf("Err() = %v", err)
			}
		})
	}
}

func TestRefusalsDoNotRevealRules(t *testing.T) {
	t.Parallel()
	c := access.Caller{Roles: []*resource.Role{role(t, "secret-role", `{deny: {db_users: [admin]}}`)}}
	message := fault.Message(access.Check(c, target("mysql", "admin", "", nil)).Err())
	if strings.Contains(message, "secret-role") || strings.Contains(message, "admin\"") || strings.Contains(message, "deny") && strings.Contains(message, "db_users") {
		t.Errorf("the user reads %q", message)
	}
}

func TestASecondFactorIsADistinctRefusal(t *testing.T) {
	t.Parallel()
	const all = `allow: {db_labels: {'*': '*'}, db_users: [app]}`
	plain, strict := role(t, "plain", `{`+all+`}`), asking(t, "strict", resource.MFASession, `{`+all+`}`)
	elsewhere := asking(t, "elsewhere", resource.MFASession, `{allow: {db_labels: {env: prod}, db_users: [app]}}`)
	hardware := asking(t, "hardware", resource.MFAHardwareKeyTouch, `{`+all+`}`)
	for name, tc := range map[string]struct {
		caller        access.Caller
		allowed, asks bool
	}{
		"not asked":             {access.Caller{Roles: []*resource.Role{plain}}, true, false},
		"asked by one role":     {access.Caller{Roles: []*resource.Role{plain, strict}}, false, true},
		"asked and given":       {access.Caller{Roles: []*resource.Role{strict}, MFAVerified: true}, true, true},
		"asked by the cluster":  {access.Caller{Roles: []*resource.Role{plain}, RequireMFA: true}, false, true},
		"asked for others only": {access.Caller{Roles: []*resource.Role{plain, elsewhere}}, true, false},
		"asked for hardware":    {access.Caller{Roles: []*resource.Role{hardware}, MFAVerified: true}, false, false},
		"nothing to ask for":    {access.Caller{RequireMFA: true}, false, false},
	} {
		d := access.Check(tc.caller, target("mysql", "app", "", nil))
		if d.Allowed != tc.allowed || d.MFARequired != tc.asks {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

func TestWhatCannotBeReadDenies(t *testing.T) {
	t.Parallel()
	all := func() *resource.Role {
		return role(t, "all", `{allow: {db_labels: {'*': '*'}, db_users: ['*']}, deny: {db_users: [x]}}`)
	}
	for name, change := range map[string]func(*resource.Role){
		"unknown version":   func(r *resource.Role) { r.Version = "v99" },
		"not a role":        func(r *resource.Role) { r.Kind = "user" },
		"denied pattern":    func(r *resource.Role) { r.Spec.Deny.DatabaseLabels = resource.Labels{"env": {"^($"}} },
		"denied template":   func(r *resource.Role) { r.Spec.Deny.DatabaseUsers = resource.Strings{"{{internal.nope}}"} },
		"denied expression": func(r *resource.Role) { r.Spec.Deny.DatabaseLabelsExpression = `labels[` },
		"denied email of another": func(r *resource.Role) {
			r.Spec.Deny.DatabaseNames = resource.Strings{"{{email.local(external.teams)}}"}
		},
	} {
		broken := all()
		change(broken)
		c := access.Caller{User: "a", Traits: map[string][]string{"teams": {"red"}}, Roles: []*resource.Role{all(), broken}}
		if d := access.Check(c, target("mysql", "app", "", nil)); d.Allowed || d.Role != "all" || d.Rule != `role "all" deny` {
			t.Errorf("%s: got %+v", name, d)
		}
		if access.Visible(c, &resource.Database{}, nil) {
			t.Errorf("%s: visible", name)
		}
	}
	brokenGrant := all()
	brokenGrant.Spec.Allow.DatabaseLabels = resource.Labels{"env": {"^($"}}
	if d := access.Check(access.Caller{Roles: []*resource.Role{brokenGrant}}, target("mysql", "app", "", nil)); d.Allowed || !strings.Contains(d.Reason, "cannot be understood") {
		t.Errorf("broken grant alone: %+v", d)
	}
	if d := access.Check(access.Caller{Roles: []*resource.Role{brokenGrant, all()}}, target("mysql", "app", "", nil)); !d.Allowed {
		t.Errorf("another role still grants: %+v", d)
	}
	if access.Check(access.Caller{Roles: []*resource.Role{all()}}, access.Target{User: "app"}).Allowed {
		t.Error("a missing database is allowed")
	}
}

func TestListsOfUsersAndNames(t *testing.T) {
	t.Parallel()
	c := access.Caller{
		User:   "alice",
		Traits: map[string][]string{"db_users": {"bob", "*"}},
		Roles: []*resource.Role{
			role(t, "a", `{allow: {db_labels: {env: prod}, db_users: ["{{internal.db_users}}", postgres], db_names: [orders]}}`),
			role(t, "b", `{allow: {db_labels: {env: dev}, db_users: [dev]}, deny: {db_users: [postgres]}}`),
		},
	}
	db, labels := &resource.Database{}, map[string]string{"env": "prod"}
	allowed, denied := access.AllowedUsers(c, db, labels)
	if !slices.Equal(allowed, []string{"*", "bob"}) || !slices.Equal(denied, []string{"postgres"}) {
		t.Errorf("users: %v, except %v", allowed, denied)
	}
	if names, _ := access.AllowedNames(c, db, labels); !slices.Equal(names, []string{"orders"}) {
		t.Errorf("names: %v", names)
	}
	if !access.Visible(c, db, labels) || access.Visible(c, db, map[string]string{"env": "test"}) {
		t.Error("visibility does not follow the labels")
	}
	c.Roles = append(c.Roles, role(t, "c", `{deny: {db_labels: {env: prod}}}`))
	if allowed, _ := access.AllowedUsers(c, db, labels); access.Visible(c, db, labels) || len(allowed) != 0 {
		t.Errorf("a denied database is visible, with users %v", allowed)
	}
}

// TestCheckAgreesWithTheReference compares Check with the plain evaluator of reference_test.go.
func TestCheckAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	seen := map[refVerdict]int{}
	for i := range 20_000 {
		c, to := randomCase(rnd)
		got, want := access.Check(c, to), refCheck(c, to)
		if got.Allowed != want.allowed || got.MFARequired != want.mfa {
			t.Fatalf("case %d: got %+v, want %+v\ncaller %+v\ntarget %+v", i, got, want, describe(c), to)
		}
		if got.Allowed && !access.Visible(c, to.Database, to.Labels) {
			t.Fatalf("case %d: allowed but not visible", i)
		}
		seen[want]++
	}
	for _, v := range []refVerdict{{false, false}, {true, false}, {true, true}, {false, true}} {
		if seen[v] < 200 {
			t.Errorf("only %d cases of %+v: the generator is lopsided", seen[v], v)
		}
	}
}

func describe(c access.Caller) string {
	out := fmt.Sprintf("%s %v", c.User, c.Traits)
	for _, r := range c.Roles {
		data, _ := resource.Encode(r)
		out += "\n" + string(data)
	}
	return out
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func some(r *rand.Rand, most int, from ...string) []string {
	var out []string
	for range r.IntN(most + 1) {
		out = append(out, pick(r, from...))
	}
	return out
}

func randomCase(r *rand.Rand) (access.Caller, access.Target) {
	c := access.Caller{
		User:        pick(r, "alice", "bob"),
		Traits:      map[string][]string{"db_users": some(r, 2, "app", "APP", "*"), "teams": some(r, 2, "red", "blue", "r*", "")},
		MFAVerified: r.IntN(3) == 0,
		RequireMFA:  r.IntN(8) == 0,
	}
	c.Traits["teams"] = slices.DeleteFunc(c.Traits["teams"], func(s string) bool { return s == "" })
	for i := range r.IntN(4) {
		role := &resource.Role{Header: resource.Header{Kind: "role", Version: "v7", Metadata: resource.Metadata{Name: fmt.Sprint("r", i)}}}
		if r.IntN(60) == 0 {
			role.Version = "v99"
		}
		role.Spec.Allow = randomConditions(r, false)
		if r.IntN(4) == 0 {
			role.Spec.Allow = resource.RoleConditions{DatabaseLabels: resource.Labels{"*": {"*"}}, DatabaseUsers: resource.Strings{"*"}, DatabaseNames: resource.Strings{"*"}}
		}
		if r.IntN(3) == 0 {
			role.Spec.Deny = randomConditions(r, true)
		}
		switch r.IntN(16) {
		case 0, 1, 2, 3, 4, 5:
			role.Spec.Options.RequireSessionMFA = resource.MFASession
		case 6:
			role.Spec.Options.RequireSessionMFA = resource.MFAHardwareKey
		case 7:
			role.Spec.Options.DeviceTrustMode = "required"
		}
		c.Roles = append(c.Roles, role)
	}
	labels := map[string]string{}
	for _, key := range some(r, 3, "env", "team", "region") {
		labels[key] = pick(r, "prod", "stage", "red", "team-red", "r*", "us-1", "")
	}
	return c, target(pick(r, "postgres", "mysql", "cockroachdb"), pick(r, "app", "App", "admin", ""), pick(r, "orders", "users", ""), labels)
}

func randomConditions(r *rand.Rand, deny bool) resource.RoleConditions {
	var c resource.RoleConditions
	most := 3
	if deny {
		most = 1
	}
	for _, key := range some(r, 2, "env", "team", "region", "*") {
		if c.DatabaseLabels == nil {
			c.DatabaseLabels = resource.Labels{}
		}
		values := some(r, 2, "prod", "*", "r*", "us-*", "^prod|stage$", "{{external.teams}}", "team-{{external.teams}}")
		if r.IntN(60) == 0 {
			values = append(values, "^($")
		}
		if key == "*" && r.IntN(4) > 0 && !deny {
			values = []string{"*"}
		}
		c.DatabaseLabels[key] = values
	}
	if r.IntN(6) == 0 {
		for _, e := range []string{`labels["env"] == "prod"`, `contains(user.spec.traits["teams"], labels["team"])`, `user.metadata.name == "alice" && !exists(labels["env"])`, refBroken} {
			if c.DatabaseLabelsExpression = e; r.IntN(3) == 0 {
				break
			}
		}
	}
	c.DatabaseUsers = some(r, most, "app", "APP", "*", "admin", "{{internal.db_users}}", "a*")
	c.DatabaseNames = some(r, most, "orders", "*", "users")
	if r.IntN(60) == 0 {
		c.DatabaseUsers = append(c.DatabaseUsers, "{{internal.nope}}")
	}
	return c
}

func BenchmarkCompiledPolicyOverManyDatabases(b *testing.B) {
	c := access.Caller{User: "alice", Traits: map[string][]string{"teams": {"red"}}}
	for i := range 5 {
		c.Roles = append(c.Roles, role(b, fmt.Sprint("r", i), `{allow: {db_labels: {env: ['^prod|stage$'], team: '{{external.teams}}'}, db_users: [app]}, deny: {db_labels: {pci: 'yes'}}}`))
	}
	p, db := access.Compile(c), &resource.Database{}
	labels := map[string]string{"env": "stage", "team": "blue", "region": "us-1"}
	for b.Loop() {
		p.Visible(db, labels)
	}
}
