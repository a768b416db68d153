package resource_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func mustEqual(t testing.TB, a, b resource.Resource) {
	t.Helper()
	x, errX := resource.Encode(a)
	y, errY := resource.Encode(b)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	if !bytes.Equal(x, y) {
		t.Fatalf("not equal:\n%s\n%s", x, y)
	}
}

func TestEveryStoredKindIsMadeDecodedAndCloned(t *testing.T) {
	t.Parallel()
	for _, kind := range resource.Kinds() {
		r, err := resource.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		data, err := resource.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := resource.Decode(kind, data)
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, r, back)
		mustEqual(t, r, resource.Clone(r))
	}
	if _, err := resource.New("pod"); !fault.Is(err, fault.BadParameter) {
		t.Errorf("New(pod) = %v", err)
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"unknown field":   `{"kind":"user","version":"v2","metadata":{"name":"a"},"spec":{"roles":[],"future":1}}`,
		"unknown version": `{"kind":"user","version":"v3","metadata":{"name":"a"},"spec":{"roles":[]}}`,
		"other kind":      `{"kind":"role","version":"v7","metadata":{"name":"a"},"spec":{"options":{},"allow":{},"deny":{}}}`,
		"trailing data":   `{"kind":"user","version":"v2","metadata":{"name":"a"},"spec":{"roles":[]}}{}`,
		"not JSON":        `kind: user`,
	} {
		if _, err := resource.Decode("user", []byte(data)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func TestAnExplicitlyEmptySelectorSurvivesStorage(t *testing.T) {
	t.Parallel()
	// In a v3 role, nothing written means everything. Losing {} on the way would widen the role.
	role := parseOne[*resource.Role](t, "kind: role\nversion: v3\nmetadata: {name: x}\nspec: {allow: {db_labels: {}}}\n")
	data, err := resource.Encode(role)
	if err != nil {
		t.Fatal(err)
	}
	back, err := resource.Decode("role", data)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := back.(*resource.Role).Spec.Allow.DatabaseLabels; len(got) != 0 {
		t.Errorf("db_labels = %v, want none", got)
	}
}

func TestRoleVersionsDifferInDefaults(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v3", "v4", "v5", "v6", "v7", "v8"} {
		role := parseOne[*resource.Role](t, "kind: role\nversion: "+version+"\nmetadata: {name: x}\nspec: {allow: {db_users: [a], logins: [b]}}\n")
		a := role.Spec.Allow
		for name, labels := range map[string]resource.Labels{"db": a.DatabaseLabels, "app": a.AppLabels, "kubernetes": a.KubernetesLabels, "node": a.NodeLabels} {
			if got, want := labels.IsAll(), version == "v3"; got != want {
				t.Errorf("%s: %s_labels match everything: %t, want %t", version, name, got, want)
			}
		}
	}
	noLogins := parseOne[*resource.Role](t, "kind: role\nversion: v3\nmetadata: {name: x}\nspec: {}\n")
	if noLogins.Spec.Allow.NodeLabels != nil {
		t.Error("a v3 role without logins has node_labels")
	}
}

func TestSingletonsGetTheirFixedName(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"cluster_auth_preference":   "cluster-auth-preference",
		"cluster_networking_config": "cluster-networking-config",
		"session_recording_config":  "session-recording-config",
	} {
		for _, metadata := range []string{"{}", "{name: other}"} {
			r := parseOne[resource.Resource](t, "kind: "+kind+"\nversion: v2\nmetadata: "+metadata+"\nspec: {}\n")
			if r.GetName() != want {
				t.Errorf("%s has the name %q", kind, r.GetName())
			}
		}
	}
}

func TestClusterSettingsHaveDefaults(t *testing.T) {
	t.Parallel()
	network := parseOne[*resource.NetworkingConfig](t, "kind: cluster_networking_config\nversion: v2\nspec: {proxy_listener_mode: 1}\n")
	if s := network.Spec; s.KeepAliveInterval.Std() != 5*time.Minute || s.KeepAliveCountMax != 3 || s.ProxyListenerMode != "multiplex" {
		t.Errorf("networking = %+v", s)
	}
	auth := parseOne[*resource.AuthPreference](t, "kind: cluster_auth_preference\nversion: v2\nspec: {require_session_mfa: false}\n")
	if s := auth.Spec; s.Type != "local" || s.SecondFactor != "otp" || s.DefaultSessionTTL.Std() != 12*time.Hour || s.LockingMode != "best_effort" || s.RequireSessionMFA != resource.MFAOff {
		t.Errorf("authentication = %+v", s)
	}
	recording := parseOne[*resource.RecordingConfig](t, "kind: session_recording_config\nversion: v2\nspec: {}\n")
	if recording.Spec.Mode != "node" {
		t.Errorf("mode = %q", recording.Spec.Mode)
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	role := "kind: role\nversion: v7\nmetadata: {name: x}\nspec: "
	db := func(spec string) string {
		return "kind: db\nversion: v3\nmetadata: {name: a}\nspec: {" + spec + "}\n"
	}
	token := func(spec string) string {
		return "kind: token\nversion: v2\nmetadata: {name: secret-token}\nspec: {" + spec + "}\n"
	}
	cap := func(spec string) string {
		return "kind: cluster_auth_preference\nversion: v2\nspec: {" + spec + "}\n"
	}
	lock := func(target string) string {
		return "kind: lock\nversion: v2\nmetadata: {name: x}\nspec: {target: {" + target + "}}\n"
	}
	for name, tc := range map[string]struct{ text, want string }{
		"regular expressions in db_users":         {role + `{allow: {db_users: ['^a$']}}`, "spec.allow.db_users[0]"},
		"commands in the form of Redis's ACL":     {role + `{deny: {db_commands: ['config|set']}}`, `"config|set" is no name of a command; write its words with single spaces between them`},
		"a rule of Redis's ACL that takes":        {role + `{deny: {db_commands: [get, '-flushall']}}`, "spec.deny.db_commands[1]"},
		"a rule of Redis's ACL that gives":        {role + `{allow: {db_commands: ['+flushall']}}`, "spec.allow.db_commands[0]"},
		"a category of Redis's ACL":               {role + `{deny: {db_commands: ['@dangerous']}}`, "spec.deny.db_commands[0]"},
		"a command with two spaces":               {role + `{deny: {db_commands: ['config  set']}}`, "spec.deny.db_commands[0]"},
		"a command with a space at its end":       {role + `{deny: {db_commands: ['flushall ']}}`, "spec.deny.db_commands[0]"},
		"a command with a space at its beginning": {role + `{deny: {db_commands: [' flushall']}}`, "spec.deny.db_commands[0]"},
		"a command with a tab":                    {role + `{deny: {db_commands: ["config\tset"]}}`, "spec.deny.db_commands[0]"},
		"a command of three words":                {role + `{deny: {db_commands: ['config set hz']}}`, "spec.deny.db_commands[0]"},
		"a command that is too long":              {role + `{deny: {db_commands: ['` + strings.Repeat("x", 65) + `']}}`, "spec.deny.db_commands[0]"},
		"a command in letters of no command":      {role + `{deny: {db_commands: ['ﬂushall']}}`, "spec.deny.db_commands[0]"},
		"a star among database roles":             {role + `{allow: {db_roles: ['*']}}`, "spec.allow.db_roles[0]"},
		"a star permission to allow":              {role + `{allow: {db_permissions: [{match: {a: b}, permissions: ['*']}]}}`, "spec.allow.db_permissions[0].permissions[0]"},
		"the label * with a value":                {role + `{allow: {db_labels: {'*': prod}}}`, `spec.allow.db_labels["*"]`},
		"a label without values":                  {role + `{allow: {db_labels: {env: []}}}`, "spec.allow.db_labels.env"},
		"an expression that is not a condition":   {role + `{allow: {db_labels_expression: 'labels["x"]'}}`, "spec.allow.db_labels_expression"},
		"an expression with unknown names":        {role + `{allow: {db_labels_expression: 'label["x"] == "y"'}}`, "the name label at column 1 is not known"},
		"dynamic labels in denying expressions":   {role + `{deny: {db_labels_expression: 'labels["dynamic/x"] == "y"'}}`, "spec.deny.db_labels_expression"},
		"thresholds to deny":                      {role + `{deny: {request: {thresholds: [{approve: 1}]}}}`, "spec.deny.request.thresholds"},
		"patterns in search_as_roles":             {role + `{allow: {request: {search_as_roles: ['a*']}}}`, "spec.allow.request.search_as_roles[0]"},
		"negative limits":                         {role + `{options: {max_connections: -1}}`, "spec.options.max_connections"},
		"unknown modes":                           {role + `{options: {lock: sometimes}}`, `spec.options.lock: "sometimes" is not known`},
		"unknown MFA modes":                       {role + `{options: {require_session_mfa: maybe}}`, "spec.options.require_session_mfa"},
		"numbers as MFA modes":                    {role + `{options: {require_session_mfa: 1}}`, "spec.options.require_session_mfa"},
		"a URI without port":                      {db(`protocol: postgres, uri: db.example.com`), `spec.uri: "db.example.com" needs a host and a port`},
		"a URI without host":                      {db(`protocol: postgres, uri: ":5432"`), "needs a host"},
		"port 0":                                  {db(`protocol: postgres, uri: "a:0"`), "spec.uri"},
		"a URI with a password":                   {db(`protocol: mongodb, uri: "mongodb://u:p@a:27017"`), "must not contain a user or password"},
		"an unknown mode of Redis":                {db(`protocol: redis, uri: "redis://a:6379?mode=sentinel"`), "spec.uri"},
		"several addresses of Redis":              {db(`protocol: redis, uri: "redis://a:6379,b:6379?mode=cluster"`), "spec.uri"},
		"a scheme of another protocol":            {db(`protocol: mysql, uri: "redis://a:6379"`), "spec.uri"},
		"a missing URI":                           {db(`protocol: mysql`), "spec.uri: is missing"},
		"an unknown protocol":                     {db(`protocol: db2, uri: "a:1"`), `spec.protocol: "db2" is not known`},
		"an external id without role":             {db(`protocol: mysql, uri: "a:1", aws: {external_id: x}`), "spec.aws.external_id"},
		"a short account id":                      {db(`protocol: mysql, uri: "a:1", aws: {account_id: "12"}`), "spec.aws.account_id"},
		"a token without roles":                   {token(`roles: []`), "spec.roles"},
		"a token for administrators":              {token(`roles: [Admin]`), "spec.roles[0]"},
		"an unknown service in a token":           {token(`roles: [dbs]`), `"dbs" is not a type of service`},
		"iam without rules":                       {token(`roles: [Db], join_method: iam`), "spec.allow"},
		"rules without iam":                       {token(`roles: [Db], allow: [{aws_account: "123456789012"}]`), "spec.allow"},
		"an iam rule for any account":             {token(`roles: [Db], join_method: iam, allow: [{aws_arn: "*"}]`), "spec.allow[0]"},
		"ec2 fields with iam":                     {token(`roles: [Db], join_method: iam, allow: [{aws_account: "123456789012", aws_regions: [us-west-1]}]`), "spec.allow[0].aws_regions"},
		"iam for an organization":                 {token(`roles: [Db], join_method: iam, allow: [{aws_organization_id: o-abcdefghij}]`), "spec.allow[0].aws_organization_id: cannot be checked"},
		"an organization beside an account":       {token(`roles: [Db], join_method: iam, allow: [{aws_account: "123456789012", aws_organization_id: o-abcdefghij}]`), "spec.allow[0].aws_organization_id: cannot be checked"},
		"a rule of an account with 11 digits":     {token(`roles: [Db], join_method: iam, allow: [{aws_account: "12345678901"}]`), "spec.allow[0].aws_account"},
		"a rule of all accounts":                  {token(`roles: [Db], join_method: iam, allow: [{aws_account: "*"}]`), "spec.allow[0].aws_account"},
		"an ARN for ec2":                          {token(`roles: [Db], join_method: ec2, allow: [{aws_account: "123456789012", aws_arn: "arn:aws:iam::123456789012:root"}]`), "spec.allow[0].aws_arn: is for the join method iam"},
		"a region that is none":                   {token(`roles: [Db], join_method: ec2, allow: [{aws_account: "123456789012", aws_regions: [us-west]}]`), "spec.allow[0].aws_regions"},
		"a role for iam":                          {token(`roles: [Db], join_method: iam, allow: [{aws_account: "123456789012", aws_role: "arn:aws:iam::123456789012:role/x"}]`), "spec.allow[0].aws_role: is for the join method ec2"},
		"a watcher that is no role":               {token(`roles: [Db], join_method: ec2, allow: [{aws_account: "123456789012", aws_role: "arn:aws:iam::123456789012:user/x"}]`), "spec.allow[0].aws_role"},
		"a watcher of another account":            {token(`roles: [Db], join_method: ec2, allow: [{aws_account: "123456789012", aws_role: "arn:aws:iam::210987654321:role/x"}]`), "must be a role of account 123456789012"},
		"a life of documents for iam":             {token(`roles: [Db], join_method: iam, aws_iid_ttl: 5m, allow: [{aws_account: "123456789012"}]`), "spec.aws_iid_ttl: is for the join method ec2"},
		"a negative life of documents":            {token(`roles: [Db], join_method: ec2, aws_iid_ttl: -5m, allow: [{aws_account: "123456789012"}]`), "spec.aws_iid_ttl"},
		"an account as number":                    {token(`roles: [Db], join_method: iam, allow: [{aws_account: 123456789012}]`), "spec.allow[0].aws_account: must be a string; put it in quotes"},
		"a lock without target":                   {"kind: lock\nversion: v2\nmetadata: {name: x}\nspec: {message: hi}\n", "spec.target"},
		"control characters in a lock":            {"kind: lock\nversion: v2\nmetadata: {name: x}\nspec: {target: {user: a}, message: \"a\\e[2J\"}\n", "spec.message"},
		"user names with a slash":                 {"kind: user\nversion: v2\nmetadata: {name: a/b}\nspec: {}\n", "metadata.name"},
		"user names with space around":            {"kind: user\nversion: v2\nmetadata: {name: ' a'}\nspec: {}\n", "metadata.name"},
		"user names of two lines":                 {"kind: user\nversion: v2\nmetadata: {name: \"a\\nb\"}\nspec: {}\n", "metadata.name"},
		"labels of two lines":                     {"kind: user\nversion: v2\nmetadata: {name: a, labels: {x: \"a\\nb\"}}\nspec: {}\n", "metadata.labels.x"},
		"user names that reorder text":            {"kind: user\nversion: v2\nmetadata: {name: \"a\\u202eb\"}\nspec: {}\n", "metadata.name"},
		"aliases of kinds in files":               {"kind: cap\nversion: v2\nspec: {}\n", `kind "cap" is not supported`},
		"second factors at each session":          {role + `{options: {require_session_mfa: true}}`, "spec.options.require_session_mfa: this program cannot ask"},
		"hardware keys at each session":           {role + `{options: {require_session_mfa: hardware_key_touch}}`, "spec.options.require_session_mfa: this program cannot ask"},
		"second factors again and again":          {role + `{options: {mfa_verification_interval: 5m}}`, "spec.options.mfa_verification_interval: this program cannot ask"},
		"trusted devices of a role":               {role + `{options: {device_trust_mode: required}}`, "spec.options.device_trust_mode: this program cannot verify"},
		"sessions with a factor in the cluster":   {cap("require_session_mfa: hardware_key"), "spec.require_session_mfa: this program cannot ask"},
		"webauthn as the second factor":           {cap("second_factor: webauthn"), `spec.second_factor: "webauthn" is not available`},
		"u2f as the second factor":                {cap("second_factor: u2f"), `spec.second_factor: "u2f" is not available`},
		"a second factor at one's choice":         {cap("second_factor: optional"), `spec.second_factor: "optional" is not available`},
		"unknown second factors":                  {cap("second_factor: fingers"), `spec.second_factor: "fingers" is not available`},
		"one of several second factors":           {cap("second_factors: [otp, webauthn]"), `spec.second_factors[1]: "webauthn" is not available`},
		"settings of security keys":               {cap("webauthn: {rp_id: example.com}"), "spec.webauthn: this program cannot ask"},
		"settings of older security keys":         {cap("u2f: {app_id: 'https://example.com'}"), "spec.u2f: this program cannot ask"},
		"trusted devices of the cluster":          {cap("device_trust: {mode: optional}"), "spec.device_trust.mode: this program cannot verify"},
		"logins elsewhere":                        {cap("type: oidc"), `spec.type: "oidc" is not available`},
		"short tokens":                            {"kind: token\nversion: v2\nmetadata: {name: fifteen letters}\nspec: {roles: [Db]}\n", "metadata.name: is the secret"},
		"locks on logins":                         {lock("login: root"), "spec.target.login: this cluster has no logins"},
		"locks on desktops":                       {lock("windows_desktop: x"), "spec.target.windows_desktop: this cluster has no"},
		"locks on access requests":                {lock("access_request: x"), "spec.target.access_request: this cluster has no"},
		"locks on devices":                        {lock("device: x"), "spec.target.device: this cluster has no"},
		"locks on bots":                           {lock("user: a, bot_instance_id: x"), "spec.target.bot_instance_id: this cluster has no"},
		"authorities of other types":              {strings.Replace(caYAML, "db_client", "jwt", 1), "spec.type"},
		"heartbeats of databases with other name": {"kind: db_server\nversion: v3\nmetadata: {name: a}\nspec: {host_id: h, database: {kind: db, version: v3, metadata: {name: b}, spec: {protocol: mysql, uri: 'a:1'}}}\n", "metadata.name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := resource.ParseYAML([]byte(tc.text))
			if !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestDatabaseNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"a": true, "orders": true, "a-1": true, "Orders": true, "my-postgres-reader-rds-aurora-us-east-1-123456789012": true, strings.Repeat("a", 200): true,
		"": false, "1a": false, "a-": false, "-a": false, "a_b": false, "a.b": false, "a\n": false, strings.Repeat("a", 201): false,
	} {
		db := &resource.Database{
			Header: resource.Header{Kind: "db", Version: "v3", Metadata: resource.Metadata{Name: name}},
			Spec:   resource.DatabaseSpec{Protocol: "postgres", URI: "a:5432"},
		}
		if err := db.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDatabaseURIs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ protocol, uri string }{
		{"postgres", "rds-postgres.abcdef012345.us-west-1.rds.amazonaws.com:5432"},
		{"postgres", "[::1]:5432"},
		{"mongodb", "mongodb://a:27017,b:27017/?replicaSet=rs0&readPreference=secondary"},
		{"mongodb", "mongodb+srv://cluster.example.net"},
		{"redis", "rediss://cache.example.com:6379?mode=cluster"},
		{"snowflake", "https://abc.snowflakecomputing.com"},
		{"opensearch", "search-x.us-east-1.es.amazonaws.com:443"},
		{"dynamodb", "aws://dynamodb.us-east-1.amazonaws.com"},
		{"spanner", "spanner.googleapis.com:443"},
	} {
		db := &resource.Database{
			Header: resource.Header{Kind: "db", Version: "v3", Metadata: resource.Metadata{Name: "a"}},
			Spec:   resource.DatabaseSpec{Protocol: tc.protocol, URI: tc.uri},
		}
		if tc.protocol == "opensearch" || tc.protocol == "dynamodb" { // they need it for their users, which are roles
			db.Spec.AWS.AccountID = "123456789012"
		}
		if err := db.Validate(); err != nil {
			t.Errorf("%s %s: %v", tc.protocol, tc.uri, err)
		}
	}
}

func TestTypeFollowsTheFilledBlock(t *testing.T) {
	t.Parallel()
	for want, spec := range map[string]string{
		"self-hosted":         `protocol: postgres, uri: "a:1"`,
		"rds":                 `protocol: postgres, uri: "a:1", aws: {rds: {cluster_id: x}}`,
		"rdsproxy":            `protocol: postgres, uri: "a:1", aws: {rdsproxy: {name: x}}`,
		"redshift":            `protocol: postgres, uri: "a:1", aws: {redshift: {cluster_id: x}}`,
		"redshift-serverless": `protocol: postgres, uri: "a:1", aws: {redshift_serverless: {workgroup_name: x}}`,
		"elasticache":         `protocol: redis, uri: "a:1", aws: {elasticache: {replication_group_id: x}}`,
		"memorydb":            `protocol: redis, uri: "a:1", aws: {memorydb: {cluster_name: x}}`,
		"docdb":               `protocol: mongodb, uri: "a:1", aws: {docdb: {cluster_id: x}}`,
		"dynamodb":            `protocol: dynamodb, aws: {region: us-east-1, account_id: "123456789012"}`,
		"keyspace":            `protocol: cassandra, aws: {region: us-east-1, account_id: "123456789012"}`,
		"gcp":                 `protocol: mysql, uri: "a:1", gcp: {project_id: p, instance_id: i}`,
		"azure":               `protocol: mysql, uri: "a:1", azure: {name: x}`,
		"mongo-atlas":         `protocol: mongodb, uri: "mongodb+srv://a.b", mongo_atlas: {name: x}`,
	} {
		db := parseOne[*resource.Database](t, "kind: db\nversion: v3\nmetadata: {name: a}\nspec: {"+spec+"}\n")
		if got := db.Type(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAllLabelsPrefersStaticOnes(t *testing.T) {
	t.Parallel()
	db := parseOne[*resource.Database](t, fullDatabase)
	db.Spec.DynamicLabels = resource.DynamicLabels{"env": {Result: "dev"}, "host": {Result: "h1"}, "late": {}}
	labels := db.AllLabels()
	if _, late := labels["late"]; labels["env"] != "prod" || labels["host"] != "h1" || late {
		t.Errorf("labels = %v", labels)
	}
	if db.Origin() != resource.OriginDynamic {
		t.Errorf("origin = %q", db.Origin())
	}
}

func TestWithoutSecretsLeavesNoSecretAndTheOriginalAlone(t *testing.T) {
	t.Parallel()
	ca := parseOne[*resource.CertAuthority](t, caYAML)
	user := &resource.User{Header: resource.Header{Kind: "user", Version: "v2"}, Spec: resource.UserSpec{LocalAuth: &resource.LocalAuth{Sealed: []byte("KEY")}}}
	for _, r := range []resource.Resource{ca, user} {
		data, err := resource.Encode(resource.WithoutSecrets(r))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "S0VZ") {
			t.Errorf("%s holds a secret: %s", r.GetKind(), data)
		}
		if text := fmt.Sprintf("%v %+v", ca.Spec.ActiveKeys, user.Spec.LocalAuth); strings.Contains(text, "KEY") || strings.Contains(text, "75 69 89") {
			t.Errorf("printing shows a secret: %s", text)
		}
	}
	if len(ca.Spec.ActiveKeys.TLS[0].Key) == 0 || user.Spec.LocalAuth == nil {
		t.Error("the original has lost its secret")
	}
}

func TestErrorsDoNotShowTokens(t *testing.T) {
	t.Parallel()
	token := &resource.Token{Header: resource.Header{Kind: "token", Version: "v2", Metadata: resource.Metadata{Name: "s3cret"}}}
	if err := token.Validate(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestKindByAlias(t *testing.T) {
	t.Parallel()
	for alias, want := range map[string]string{
		"Roles": "role", "users": "user", "db": "db", "DB_server": "db_server", "db_services": "db_service", "cap": "cluster_auth_preference",
		"netconfig": "cluster_networking_config", "recconfig": "session_recording_config", "cas": "cert_authority", "locks": "lock",
		"dbs": "", "databases": "", "ns": "", "db_servers": "", "": "",
	} {
		if got, ok := resource.KindByAlias(alias); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", alias, got, ok)
		}
	}
}

func TestParseSystemRoles(t *testing.T) {
	t.Parallel()
	got, err := resource.ParseSystemRoles("db, Discovery,DB,windowsdesktop,trusted_cluster")
	if want := []resource.SystemRole{"Db", "Discovery", "WindowsDesktop", "trusted_cluster"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "db,", "database"} {
		if _, err := resource.ParseSystemRoles(bad); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestPresetRoles(t *testing.T) {
	t.Parallel()
	var names []string
	for _, role := range resource.PresetRoles() {
		names = append(names, role.GetName())
		if role.Metadata.Labels["teleport.internal/resource-type"] != "preset" {
			t.Errorf("%s is not labelled as preset", role.GetName())
		}
		if err := role.Validate(); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(names, []string{"access", "editor", "auditor", "requester"}) {
		t.Errorf("got %v", names)
	}
}

func TestUserNamesCanBeTypedAndListed(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"alice": true, "alice@example.com": true, "Jörg.Ölf-2_x+y": true, "a=b": true,
		"": false, "alice bob": false, "alice\tbob": false, " alice": false, "alice,bob": false, "-alice": false, ".": false, "..": false,
		"a/b": false, "a\x00b": false, "a\u202eb": false, "alice\u00a0b": false, strings.Repeat("x", 300): false,
	} {
		r, err := resource.New(resource.KindUser)
		if err != nil {
			t.Fatal(err)
		}
		r.Meta().Name = name
		if err := r.Validate(); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOnlyKindsThatAdministratorsWriteAreOffered(t *testing.T) {
	t.Parallel()
	_, err := resource.ParseYAML([]byte("kind: toaster\nversion: v1\nmetadata: {name: t}\n"))
	if text := fault.Message(err); !strings.Contains(text, `"lock"`) || strings.Contains(text, "db_server") || strings.Contains(text, "cert_authority") {
		t.Errorf("told %q", text)
	}
}

func TestPatternsMatchTheWholeText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"prod", "prod", true}, {"prod", "production", false}, {"prod*", "production", true}, {"*prod", "nonprod", true},
		{"*", "", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}, {"", "", true}, {"", "a", false},
		{"^test|stage$", "test", true}, {"^test|stage$", "tester", false}, {"^test|stage$", "prestage", false},
		{"^us-[0-9]+$", "us-1", true}, {"^us-[0-9]+$", "us-1\n", false}, {"^$", "", true},
		{"^", "^", true}, {"a.c", "abc", false}, {"^(?i)prod$", "PROD", true},
	} {
		p, err := resource.ParsePattern(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(tc.text); got != tc.want {
			t.Errorf("%q matches %q: %t", tc.pattern, tc.text, got)
		}
	}
	for _, bad := range []string{"^($", "^a)|(b$"} {
		if _, err := resource.ParsePattern(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestValuesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		value any
		want  string
	}{
		{resource.Labels{"a": {"x"}, "b": {"y", "z"}, "c": {}}, `{"a":"x","b":["y","z"],"c":[]}`},
		{resource.Duration(90 * time.Minute), `"1h30m0s"`},
		{resource.MFASession, `true`}, {resource.MFAOff, `false`}, {resource.MFAHardwareKey, `"hardware_key"`},
	} {
		if got, err := json.Marshal(tc.value); err != nil || string(got) != tc.want {
			t.Errorf("got %s, %v, want %s", got, err, tc.want)
		}
	}
}

func TestCanonicalUserName(t *testing.T) {
	t.Parallel()
	if got := resource.CanonicalUserName(" Alice@Example.com\t"); got != "alice@example.com" {
		t.Errorf("got %q", got)
	}
}
