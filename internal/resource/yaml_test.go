package resource_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// guideRole is a role as user guides print it.
const guideRole = `kind: role
version: v3
metadata:
  name: db
spec:
  allow:
    db_labels:
      '*': '*'
    db_names:
    - '*'
    db_users:
    - '*'
`

func parseOne[R resource.Resource](t testing.TB, text string) R {
	t.Helper()
	list, err := resource.ParseYAML([]byte(text))
	if err != nil {
		t.Fatalf("ParseYAML: %v", err)
	}
	if len(list) != 1 {
		t.Fatalf("got %d resources, want 1", len(list))
	}
	r, ok := list[0].(R)
	if !ok {
		t.Fatalf("got a %T", list[0])
	}
	return r
}

func TestParseYAMLReadsTheRoleOfTheGuides(t *testing.T) {
	t.Parallel()
	role := parseOne[*resource.Role](t, guideRole)
	if !role.Spec.Allow.DatabaseLabels.IsAll() || role.Spec.Allow.DatabaseUsers[0] != "*" || role.Spec.Allow.DatabaseNames[0] != "*" {
		t.Errorf("allow = %+v", role.Spec.Allow)
	}
	if got := role.Spec.Options.MaxSessionTTL.Std(); got != 30*time.Hour {
		t.Errorf("max_session_ttl = %s, want 30h", got)
	}
}

func TestParseYAMLReadsSeveralDocumentsAndSkipsEmptyOnes(t *testing.T) {
	t.Parallel()
	text := "# only a comment\n---\n" + guideRole + "---\nkind: user\nversion: v2\nmetadata: {name: alice}\nspec:\n  roles: [access, db]\n  traits:\n    db_users: [reader]\n    logins: null\n---\n"
	list, err := resource.ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].GetKind() != "role" || list[1].GetName() != "alice" {
		t.Errorf("got %v", list)
	}
}

func TestParseYAMLReadsJSONObjectsAndLists(t *testing.T) {
	t.Parallel()
	object := "{\n\t\"kind\": \"user\", \"version\": \"v2\",\n\t\"metadata\": {\"name\": \"alice\"}, \"spec\": {\"roles\": [\"access\"]}}"
	for _, text := range []string{object, "[" + object + "]"} {
		if u := parseOne[*resource.User](t, text); u.GetName() != "alice" || u.Spec.Roles[0] != "access" {
			t.Errorf("got %+v", u)
		}
	}
}

func TestParseYAMLAcceptsTheFormsPeopleWrite(t *testing.T) {
	t.Parallel()
	role := parseOne[*resource.Role](t, `
kind: role
version: v7
metadata: {name: dba, namespace: default, id: 1664, description: "for: all", labels: {team: "1"}}
spec:
  options: {max_session_ttl: 8h, require_session_mfa: no, create_db_user_mode: keep, record_session: {default: strict}, forward_agent: no, cert_extensions: [{type: ssh, mode: extension, name: x, value: "y"}]}
  allow:
    db_labels: {env: [prod, stage], region: "us-*"}
    db_names: "*"
    db_users: ["{{internal.db_users}}", '{{email.local(external.email)}}', '{{regexp.replace(external["a b"], "^x-(.*)$", "$1")}}', reporting]
    logins: [root, '{{internal.logins}}']
    node_labels: {'environment': '^test|staging$'}
    kubernetes_groups: ['system:masters']
    kubernetes_resources: [{kind: pod, name: '*', namespace: '*', verbs: ['*']}]
    app_labels: {'*': '*'}
    aws_role_arns: ['arn:aws:iam::123456789012:role/x']
    db_permissions: [{match: {kind: table}, permissions: [SELECT]}]
    rules:
    - {resources: [session], verbs: [list, read], where: 'contains(session.participants, user.metadata.name)'}
    request: {roles: ['^dba-.*$'], thresholds: [{approve: 2, deny: 1}], max_duration: 48h}
  deny:
    db_users: [postgres]
`)
	allow := role.Spec.Allow
	if len(allow.DatabaseLabels["env"]) != 2 || allow.DatabaseNames[0] != "*" || allow.Logins[0] != "root" || len(allow.KubernetesResources) == 0 {
		t.Errorf("allow = %+v", allow)
	}
	if o := role.Spec.Options; o.RequireSessionMFA != resource.MFAOff || o.MaxSessionTTL.Std() != 8*time.Hour || o.ForwardAgent.Enabled(true) {
		t.Errorf("options = %+v", o)
	}

	db := parseOne[*resource.Database](t, `
kind: db
version: v3
metadata: {name: orders}
spec:
  protocol: postgres
  uri: db.example.com:5432
  tls: {mode: 1}
  admin_user: {name: admin}
  dynamic_labels:
  - {name: host, period: 1m, command: [hostname]}
  aws: {account_id: "123456789012", rds: {instance_id: orders, iam_auth: true}}
`)
	if db.Spec.TLS.Mode != resource.TLSVerifyCA || db.Spec.DynamicLabels["host"].Command[0] != "hostname" || db.Type() != resource.TypeRDS {
		t.Errorf("db = %+v", db.Spec)
	}
}

func TestParseYAMLErrorsSayWhere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key with a suggestion": {strings.Replace(guideRole, "db_names", "db_name", 1), `document 1: line 9: spec.allow.db_name: is not a known key; did you mean "db_names"?`},
		"unknown key deep in a list":    {guideRole + "    rules:\n    - {resources: [user], verbs: [read], wehre: x}\n", `line 14: spec.allow.rules[0].wehre: is not a known key; did you mean "where"?`},
		"unknown key in a dynamic label": {"kind: db\nversion: v3\nmetadata: {name: a}\nspec:\n  protocol: mysql\n  uri: a:1\n  dynamic_labels:\n    a: {period: 1m, command: [x], colour: red}\n",
			`line 7: spec.dynamic_labels: has an unknown key "colour"`},
		"second document":            {guideRole + "---\nkind: user\nversion: v2\nmetadata: {name: x}\nspec: {rolls: []}\n", `document 2: line 17: spec.rolls: is not a known key`},
		"number for a string":        {"kind: user\nversion: v2\nmetadata:\n  name: 7\nspec: {}\n", `line 4: metadata.name: must be a string; put it in quotes`},
		"admin_user as plain string": {"kind: db\nversion: v3\nmetadata: {name: a}\nspec: {protocol: mysql, uri: 'a:1', admin_user: root}\n", `spec.admin_user: must be a map, not a string`},
		"bad duration":               {guideRole + "  options:\n    max_session_ttl: 8 hours\n", `line 14: spec.options.max_session_ttl: "8 hours" is not a duration`},
		"missing version":            {strings.Replace(guideRole, "version: v3\n", "", 1), `version: is missing; use "v3", "v4", "v5", "v6", "v7" or "v8"`},
		"unsupported version":        {strings.Replace(guideRole, "v3", "v9", 1), `line 2: version: "v9" is not supported for kind "role"`},
		"unknown kind":               {"kind: databse\nversion: v3\n", `line 1: kind "databse" is not supported`},
		"missing kind":               {"version: v3\n", `kind is missing`},
		"empty":                      {" \n---\n# nothing\n", `the input is empty`},
		"repeated key":               {guideRole + "kind: role\n", `"kind"`},
		"syntax":                     {"kind: role\n  version: [\n", `the input cannot be read: line`},
		"list of scalars":            {"- 1\n", `must be a map with kind`},
		"unquoted star":              {"kind: role\nversion: v3\nmetadata: {name: x}\nspec:\n  allow:\n    db_users: [*]\n", `the input cannot be read`},
		"bad time":                   {"kind: user\nversion: v2\nmetadata: {name: x, expires: tomorrow}\nspec: {}\n", `metadata.expires: must be a time such as`},
		"repeated key in JSON":       {"{\"kind\": \"user\",\n\"kind\": \"role\"}", `line 2: the key "kind" is already on line 1`},
		"tag":                        {"kind: !!str role\n", `"!!str" is not supported here`},
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

func TestParseYAMLReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := resource.ParseYAML([]byte(`kind: role
version: v7
metadata: {name: a/b}
spec:
  options: {max_session_ttl: -1h}
  allow:
    db_labels: {env: '^(prod$'}
    db_users: ['app*', '{{internal.nope}}', '{{external.x']
    rules: [{resources: [user], verbs: [write], where: 'contains(x'}]
  deny:
    db_labels: {dynamic/x: y}
`))
	for _, want := range []string{
		"line 3: metadata.name:", "line 5: spec.options.max_session_ttl:", "line 7: spec.allow.db_labels.env:",
		"line 8: spec.allow.db_users[0]:", "line 8: spec.allow.db_users[1]: ", "line 8: spec.allow.db_users[2]:",
		"line 9: spec.allow.rules[0].verbs[0]:", "line 9: spec.allow.rules[0].where:", `line 11: spec.deny.db_labels["dynamic/x"]:`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

func TestParseYAMLBoundsHostileInput(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "*" + string(c-1) + "]\n"
	}
	for name, text := range map[string]string{
		"too large":             strings.Repeat("#", 1<<20+1),
		"deep flow lists":       strings.Repeat("[", 1<<19),
		"deep flow maps":        strings.Repeat("{a: ", 1<<18),
		"deep block lists":      strings.Repeat("- ", 1<<19),
		"deep JSON":             strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000),
		"chain of anchors":      strings.Repeat("&a ", 1<<18),
		"chain of tags":         strings.Repeat("!a ", 1<<18),
		"aliases of aliases":    bomb,
		"self-referring anchor": "a: &a [*a]\n",
		"not UTF-8":             "kind: \xff\n",
		"NUL":                   "kind: \x00\n",
		"very many documents":   strings.Repeat("a\n---\n", 100_000),
		"very many keys":        manyKeys("", "k%d: v\n", ""),
		"very many flow keys":   manyKeys("{", "k%d: v,", "}"),
		"merge key":             "a: &a {kind: role}\n<<: *a\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := resource.ParseYAML([]byte(text)); !fault.Is(err, fault.BadParameter) {
				t.Errorf("got %v, want a bad parameter", err)
			}
		})
	}
}

func manyKeys(before, each, after string) string {
	var b strings.Builder
	b.WriteString(before)
	for i := range 50_000 {
		fmt.Fprintf(&b, each, i)
	}
	return b.String() + after
}

func TestParseYAMLReplacesAliases(t *testing.T) {
	t.Parallel()
	role := parseOne[*resource.Role](t, "kind: role\nversion: v7\nmetadata: {name: x}\nspec:\n  allow:\n    db_users: &u [a, b]\n    db_names: *u\n")
	if len(role.Spec.Allow.DatabaseNames) != 2 {
		t.Errorf("db_names = %v", role.Spec.Allow.DatabaseNames)
	}
}

func TestToYAMLIsReadBackEqual(t *testing.T) {
	t.Parallel()
	for _, text := range []string{guideRole, fullDatabase, caYAML} {
		r := parseOne[resource.Resource](t, text)
		out, err := resource.ToYAML(r)
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, r, parseOne[resource.Resource](t, string(out)))
	}
}

func TestToYAMLWritesTheHeaderFirst(t *testing.T) {
	t.Parallel()
	out, err := resource.ToYAML(parseOne[*resource.Role](t, guideRole))
	if err != nil {
		t.Fatal(err)
	}
	if want := "kind: role\nversion: v3\nmetadata:\n  name: db\nspec:\n  options:\n    max_session_ttl: 30h0m0s\n"; !strings.HasPrefix(string(out), want) {
		t.Errorf("got:\n%s", out)
	}
}

const fullDatabase = `kind: db
version: v3
metadata:
  name: orders
  description: "The *main* one: yes, #1"
  labels: {env: prod, "teleport.dev/origin": dynamic, empty: "", yes: "no", n: "1e3"}
  expires: 2030-01-02T03:04:05Z
spec:
  protocol: postgres
  uri: db.example.com:5432
  tls:
    mode: verify-full
    ca_cert: |
      -----BEGIN CERTIFICATE-----
      AAAA+/==
      -----END CERTIFICATE-----
  dynamic_labels: {host: {period: 1m, command: [hostname, "-f"]}}
`

const caYAML = `kind: cert_authority
version: v2
metadata: {}
spec:
  type: db_client
  cluster_name: example.com
  active_keys: {tls: [{cert: Q0VSVA==, key: S0VZ}]}
`

func FuzzParseYAML(f *testing.F) {
	f.Add(guideRole)
	f.Add(fullDatabase)
	f.Add(caYAML)
	f.Add("- &a {kind: lock}\n- *a\n")
	f.Add("{\"kind\": \"token\"}")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := resource.ParseYAML([]byte(text))
		if err != nil {
			if !fault.Is(err, fault.BadParameter) {
				t.Fatalf("not a bad parameter: %v", err)
			}
			return
		}
		for _, r := range list {
			out, err := resource.ToYAML(r)
			if err != nil {
				t.Fatal(err)
			}
			again, err := resource.ParseYAML(out)
			if err != nil {
				t.Fatalf("what was written cannot be read: %v\n%s", err, out)
			}
			mustEqual(t, r, again[0])
		}
	})
}

func FuzzToYAML(f *testing.F) {
	for _, s := range []string{"yes", "1e3", "0x1F", "~", "- a", "a: b", "#x", "'", "\"", "a\nb\n", "  a\nb\n", "a\n\nb\n", "\u2028", "8h0m0s", "<<", "@a", "%", "2030-01-01"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		u := &resource.User{
			Header: resource.Header{Kind: "user", Version: "v2", Metadata: resource.Metadata{Name: "a", Description: value}},
			Spec:   resource.UserSpec{Traits: resource.Traits{key: {value, value}, value: {}}},
		}
		if u.Validate() != nil {
			return
		}
		out, err := resource.ToYAML(u)
		if err != nil {
			t.Fatal(err)
		}
		again, err := resource.ParseYAML(out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
		mustEqual(t, u, again[0])
	})
}
