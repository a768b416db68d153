package access_test

import (
	"testing"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func TestCheckRule(t *testing.T) {
	t.Parallel()
	preset := map[string]*resource.Role{}
	for _, r := range resource.PresetRoles() {
		preset[r.GetName()] = r
	}
	admin := role(t, "admin", `{allow: {rules: [{resources: ['*'], verbs: ['*']}]}}`)
	noSecrets := role(t, "no-secrets", `{deny: {rules: [{resources: [cert_authority], verbs: [readnosecrets]}]}}`)
	noProd := role(t, "no-prod", `{deny: {rules: [{resources: [db], verbs: ['*'], where: 'resource.metadata.labels["env"] == "prod"'}]}}`)
	broken := role(t, "broken", `{}`)
	broken.Spec.Deny.Rules = []resource.Rule{{Resources: resource.Strings{"db"}, Verbs: resource.Strings{"*"}, Where: "nope("}}
	brokenAllow := role(t, "broken-allow", `{}`)
	brokenAllow.Spec.Allow.Rules = broken.Spec.Deny.Rules
	future := role(t, "future", `{}`)
	future.Version = "v99"
	for name, tc := range map[string]struct {
		roles      []*resource.Role
		kind, verb string
		ctx        access.RuleContext
		want       bool
		rule       string
	}{
		"no roles":                              {nil, "user", "list", access.RuleContext{}, false, ""},
		"editor writes users":                   {[]*resource.Role{preset["editor"]}, "user", "update", access.RuleContext{}, true, `role "editor" allow.rules[0]`},
		"editor reads no sessions":              {[]*resource.Role{preset["editor"]}, "session", "read", access.RuleContext{}, false, ""},
		"editor reads services only":            {[]*resource.Role{preset["editor"]}, "db_service", "delete", access.RuleContext{}, false, ""},
		"auditor reads events":                  {[]*resource.Role{preset["auditor"]}, "event", "list", access.RuleContext{}, true, `role "auditor" allow.rules[0]`},
		"access reads own sessions":             {[]*resource.Role{preset["access"]}, "session", "read", access.RuleContext{SessionParticipants: []string{"alice"}}, true, `role "access" allow.rules[1]`},
		"access reads no sessions of others":    {[]*resource.Role{preset["access"]}, "session", "read", access.RuleContext{SessionParticipants: []string{"bob"}}, false, ""},
		"wildcards":                             {[]*resource.Role{admin}, "anything", "rotate", access.RuleContext{}, true, `role "admin" allow.rules[0]`},
		"read includes reading without secrets": {[]*resource.Role{preset["editor"]}, "user", "readnosecrets", access.RuleContext{}, true, `role "editor" allow.rules[0]`},
		"denied without secrets, denied with":   {[]*resource.Role{admin, noSecrets}, "cert_authority", "read", access.RuleContext{}, false, `role "no-secrets" deny.rules[0]`},
		"a condition denies":                    {[]*resource.Role{admin, noProd}, "db", "update", access.RuleContext{Labels: map[string]string{"env": "prod"}}, false, `role "no-prod" deny.rules[0]`},
		"a condition does not apply":            {[]*resource.Role{admin, noProd}, "db", "update", access.RuleContext{Labels: map[string]string{"env": "dev"}}, true, `role "admin" allow.rules[0]`},
		"a broken denial denies":                {[]*resource.Role{admin, broken}, "db", "list", access.RuleContext{}, false, `role "broken" deny.rules[0]`},
		"a broken grant grants nothing":         {[]*resource.Role{brokenAllow}, "db", "list", access.RuleContext{}, false, ""},
		"an unknown version denies":             {[]*resource.Role{admin, future}, "db", "list", access.RuleContext{}, false, `role "future" deny`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := access.CheckRule(access.Caller{User: "alice", Roles: tc.roles}, tc.kind, tc.verb, tc.ctx)
			if d.Allowed != tc.want || d.Rule != tc.rule || d.Reason == "" {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestNobodyRaisesTheirOwnRights(t *testing.T) {
	t.Parallel()
	mine := role(t, "mine", `{allow: {db_labels: {env: dev}, db_users: [app], rules: [{resources: ['*'], verbs: ['*']}]}, deny: {db_users: [root]}}`)
	expires := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	mine.Metadata.Expires = &expires
	editor := access.Caller{User: "Alice", Roles: []*resource.Role{mine}, Traits: map[string][]string{"teams": {"red", "blue"}, "logins": nil}}

	changed := func(change func(*resource.Role)) *resource.Role {
		c := resource.Clone(mine)
		change(c)
		return c
	}
	for name, tc := range map[string]struct {
		role *resource.Role
		ok   bool
	}{
		"a role of others":        {role(t, "other", `{allow: {db_labels: {'*': '*'}, db_users: ['*']}}`), true},
		"a new description":       {changed(func(r *resource.Role) { r.Metadata.Description = "x" }), true},
		"more users":              {changed(func(r *resource.Role) { r.Spec.Allow.DatabaseUsers = resource.Strings{"*"} }), false},
		"fewer denials":           {changed(func(r *resource.Role) { r.Spec.Deny = resource.RoleConditions{} }), false},
		"another version":         {changed(func(r *resource.Role) { r.Version = "v3" }), false},
		"a later end":             {changed(func(r *resource.Role) { r.Metadata.Expires = nil }), false},
		"a longer session":        {changed(func(r *resource.Role) { r.Spec.Options.MaxSessionTTL *= 2 }), false},
		"the same in other words": {changed(func(*resource.Role) {}), true},
	} {
		if err := access.CheckGrant(editor, tc.role); (err == nil) != tc.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}

	user := func(name string, roles []string, traits map[string][]string) *resource.User {
		return &resource.User{Header: resource.Header{Metadata: resource.Metadata{Name: name}}, Spec: resource.UserSpec{Roles: roles, Traits: traits}}
	}
	same := map[string][]string{"teams": {"blue", "red"}}
	account := user("Alice", []string{"mine"}, same)
	for name, tc := range map[string]struct {
		user *resource.User
		ok   bool
	}{
		"another user":            {user("bob", []string{"other"}, nil), true},
		"oneself unchanged":       {user("Alice", []string{"mine"}, same), true},
		"one's own roles":         {user("Alice", []string{"mine", "other"}, same), false},
		"one's own roles, fewer":  {user("Alice", nil, same), false},
		"one's own traits":        {user("Alice", []string{"mine"}, map[string][]string{"teams": {"red"}}), false},
		"one's own traits, more":  {user("Alice", []string{"mine"}, map[string][]string{"teams": {"blue", "red"}, "db_users": {"*"}}), false},
		"a name that looks alike": {user("alice", []string{"mine"}, same), false},
	} {
		if err := access.CheckUserGrant(editor, account, tc.user); (err == nil) != tc.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyProlongsOrUnlocksTheirOwnAccount(t *testing.T) {
	t.Parallel()
	expires := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	sooner, later := expires.Add(-time.Hour), expires.Add(time.Hour)
	editor := access.Caller{User: "alice"}
	endless := &resource.User{Header: resource.Header{Metadata: resource.Metadata{Name: "alice"}}}
	account := resource.Clone(endless)
	account.Metadata.Expires, account.Spec.Expires = &expires, &expires
	account.Spec.Status = resource.LoginStatus{IsLocked: true, LockExpires: &expires}
	for name, tc := range map[string]struct {
		before *resource.User
		change func(*resource.User)
		ok     bool
	}{
		"a new description":        {account, func(u *resource.User) { u.Metadata.Description = "x" }, true},
		"no expiry":                {account, func(u *resource.User) { u.Spec.Expires = nil }, false},
		"a later expiry":           {account, func(u *resource.User) { u.Spec.Expires = &later }, false},
		"an earlier expiry":        {account, func(u *resource.User) { u.Spec.Expires = &sooner }, true},
		"no end of the resource":   {account, func(u *resource.User) { u.Metadata.Expires = nil }, false},
		"a later one":              {account, func(u *resource.User) { u.Metadata.Expires = &later }, false},
		"an earlier one":           {account, func(u *resource.User) { u.Metadata.Expires = &sooner }, true},
		"an expiry, where is none": {endless, func(u *resource.User) { u.Spec.Expires = &later }, true},
		"unlocked":                 {account, func(u *resource.User) { u.Spec.Status = resource.LoginStatus{} }, false},
		"a shorter lock":           {account, func(u *resource.User) { u.Spec.Status.LockExpires = &sooner }, false},
		"another user, unlocked": {account, func(u *resource.User) {
			u.Metadata.Name, u.Spec.Expires, u.Spec.Status = "bob", nil, resource.LoginStatus{}
		}, true},
	} {
		after := resource.Clone(tc.before)
		tc.change(after)
		if err := access.CheckUserGrant(editor, tc.before, after); (err == nil) != tc.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyBringsDatabasesWithinTheirOwnReach(t *testing.T) {
	t.Parallel()
	db := func(uri string, labels map[string]string) *resource.Database {
		return &resource.Database{
			Header: resource.Header{Kind: "db", Version: "v3", Metadata: resource.Metadata{Name: "a", Labels: labels}},
			Spec:   resource.DatabaseSpec{Protocol: "mysql", URI: uri},
		}
	}
	dev, prod := map[string]string{"env": "dev"}, map[string]string{"env": "prod"}
	everything := role(t, "all", `{allow: {db_labels: {'*': '*'}, db_users: [app]}}`)
	devOnly := role(t, "dev", `{allow: {db_labels: {env: dev}, db_users: [root]}}`)
	notProd := role(t, "not-prod", `{deny: {db_labels: {env: prod}}}`)
	for name, tc := range map[string]struct {
		roles         []*resource.Role
		before, after *resource.Database
		ok            bool
	}{
		"no roles for databases":                  {nil, db("a:1", prod), db("b:1", dev), true},
		"everything is within reach already":      {[]*resource.Role{everything}, nil, db("a:1", dev), true},
		"new, within reach by label":              {[]*resource.Role{devOnly}, nil, db("a:1", dev), false},
		"new, out of reach":                       {[]*resource.Role{devOnly}, nil, db("a:1", prod), true},
		"relabelled into reach":                   {[]*resource.Role{devOnly}, db("a:1", prod), db("a:1", dev), false},
		"relabelled out of reach":                 {[]*resource.Role{devOnly}, db("a:1", dev), db("a:1", prod), true},
		"another label":                           {[]*resource.Role{devOnly}, db("a:1", dev), db("a:1", map[string]string{"env": "dev", "x": "y"}), true},
		"pointed elsewhere":                       {[]*resource.Role{devOnly}, db("a:1", dev), db("b:1", dev), false},
		"a stronger role by label":                {[]*resource.Role{everything, devOnly}, db("a:1", prod), db("a:1", dev), false},
		"a denial lifted":                         {[]*resource.Role{everything, notProd}, db("a:1", prod), db("a:1", dev), false},
		"a denial evaded by a second entry":       {[]*resource.Role{everything, notProd}, nil, db("a:1", dev), false},
		"a denial that never applied, still does": {[]*resource.Role{everything, notProd}, db("a:1", dev), db("a:1", dev), true},
	} {
		if err := access.CheckDatabaseGrant(access.Caller{User: "alice", Roles: tc.roles}, tc.before, tc.after); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMatchLock(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	subject := access.LockSubject{User: "bob", Roles: []string{"access", "dba"}, MFADevice: "m1", ServerID: "s1", AccessRequests: []string{"r1"}}
	for name, tc := range map[string]struct {
		target  resource.LockTarget
		expires time.Duration
		want    bool
	}{
		"user":                    {resource.LockTarget{User: "bob"}, 0, true},
		"user typed differently":  {resource.LockTarget{User: " Bob"}, 0, true},
		"another user":            {resource.LockTarget{User: "bobby"}, 0, false},
		"role":                    {resource.LockTarget{Role: "dba"}, 0, true},
		"another role":            {resource.LockTarget{Role: "db"}, 0, false},
		"user and role":           {resource.LockTarget{User: "bob", Role: "dba"}, 0, true},
		"user and another role":   {resource.LockTarget{User: "bob", Role: "admin"}, 0, false},
		"agent":                   {resource.LockTarget{ServerID: "s1"}, 0, true},
		"agent by the older name": {resource.LockTarget{Node: "s1"}, 0, true},
		"second factor":           {resource.LockTarget{MFADevice: "m1"}, 0, true},
		"request":                 {resource.LockTarget{AccessRequest: "r1"}, 0, true},
		"something bob lacks":     {resource.LockTarget{WindowsDesktop: "w"}, 0, false},
		"nothing":                 {resource.LockTarget{}, 0, false},
		"not yet over":            {resource.LockTarget{User: "bob"}, time.Second, true},
		"over":                    {resource.LockTarget{User: "bob"}, -time.Second, false},
	} {
		l := &resource.Lock{Spec: resource.LockSpec{Target: tc.target}}
		if tc.expires != 0 {
			at := now.Add(tc.expires)
			l.Spec.Expires = &at
		}
		if got := access.MatchLock(l, subject, now); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestLockedErrorNamesTargetAndMessage(t *testing.T) {
	t.Parallel()
	l := &resource.Lock{Spec: resource.LockSpec{Target: resource.LockTarget{User: "bob"}, Message: "on leave"}}
	if got := fault.Message(access.LockedError(l)); got != `lock targeting User:"bob" is in force: on leave` {
		t.Errorf("got %s", got)
	}
	l.Spec = resource.LockSpec{Target: resource.LockTarget{User: "bob", Role: "dba"}}
	if got := fault.Message(access.LockedError(l)); got != `lock targeting User:"bob" Role:"dba" is in force` {
		t.Errorf("got %s", got)
	}
}

func TestOptionsCombineToTheStrictest(t *testing.T) {
	t.Parallel()
	roles := []*resource.Role{
		role(t, "a", `{options: {max_session_ttl: 8h, client_idle_timeout: 1h, max_connections: 5, lock: best_effort}}`),
		role(t, "b", `{options: {max_session_ttl: 2h, client_idle_timeout: 10m, max_connections: 3, max_sessions: 9, lock: strict, pin_source_ip: true}}`),
		asking(t, "c", resource.MFASession, `{options: {disconnect_expired_cert: true, record_session: {default: strict, database_protocol: yes}}}`),
	}
	roles[2].Spec.Options.MFAVerificationInterval = resource.Duration(5 * time.Minute)
	got := access.Options(roles, access.Defaults{ClientIdleTimeout: 30 * time.Minute, LockingMode: resource.BestEffort})
	want := access.SessionOptions{
		MaxSessionTTL: 2 * time.Hour, ClientIdleTimeout: 10 * time.Minute, DisconnectExpiredCert: true, PinSourceIP: true,
		LockingMode: "strict", RequireMFA: true, MFAVerificationInterval: 5 * time.Minute, MaxConnections: 3, MaxSessions: 9, RecordingMode: "strict", RecordProtocol: true,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOptionsFallBackToTheCluster(t *testing.T) {
	t.Parallel()
	auth := &resource.AuthPreference{Spec: resource.AuthPreferenceSpec{LockingMode: "strict", DisconnectExpiredCert: true, RequireSessionMFA: resource.MFASession}}
	network := &resource.NetworkingConfig{Spec: resource.NetworkingConfigSpec{ClientIdleTimeout: resource.Duration(time.Hour)}}
	got := access.Options([]*resource.Role{role(t, "a", `{}`)}, access.DefaultsOf(auth, network))
	want := access.SessionOptions{MaxSessionTTL: 30 * time.Hour, ClientIdleTimeout: time.Hour, DisconnectExpiredCert: true, LockingMode: "strict", RequireMFA: true, RecordingMode: "best_effort"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := access.Options(nil, access.DefaultsOf(nil, nil)); got.MaxSessionTTL != 30*time.Hour || got.LockingMode != "best_effort" {
		t.Errorf("without anything: %+v", got)
	}
}

func TestConditionsThatCannotBeDecided(t *testing.T) {
	t.Parallel()
	rule := func(part, where string) *resource.Role {
		return role(t, "r", `{`+part+`: {rules: [{resources: [db], verbs: [read], where: '`+where+`'}]}}`)
	}
	all := role(t, "all", `{allow: {rules: [{resources: ['*'], verbs: ['*']}]}}`)
	const thing, caller, broken = `equals(resource.metadata.name, "x")`, `equals(user.metadata.name, "alice")`, `equals(`
	for name, c := range map[string]struct {
		part, where string
		known       access.Knowledge
		allowed     bool
	}{
		"an unknown thing is not granted":          {"allow", thing, access.Unknown, false},
		"an unknown thing is denied":               {"deny", thing, access.Unknown, false},
		"some of many are granted":                 {"allow", thing, access.OneByOne, true},
		"some of many are not denied":              {"deny", thing, access.OneByOne, true},
		"the caller is known, so it is granted":    {"allow", caller, access.Unknown, true},
		"the caller is known, so it is denied":     {"deny", caller, access.OneByOne, false},
		"without the thing nothing equals a name":  {"allow", thing, access.Known, false},
		"without the thing nothing is denied to x": {"deny", thing, access.Known, true},
	} {
		roles := []*resource.Role{rule(c.part, c.where)}
		if c.part == "deny" {
			roles = append(roles, all)
		}
		got := access.CheckRule(access.Caller{User: "alice", Roles: roles}, "db", "read", access.RuleContext{Knowledge: c.known}).Allowed
		if got != c.allowed {
			t.Errorf("%s: allowed %v", name, got)
		}
	}
	unreadable := rule("deny", thing)
	unreadable.Spec.Deny.Rules[0].Where = broken
	if access.CheckRule(access.Caller{Roles: []*resource.Role{all, unreadable}}, "db", "read", access.RuleContext{Knowledge: access.OneByOne}).Allowed {
		t.Error("a denial that cannot be read does not deny")
	}
}
