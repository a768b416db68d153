package access_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func TestMatchLabels(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"env": "prod", "region": "us-west-1", "empty": ""}
	for name, tc := range map[string]struct {
		selector resource.Labels
		want     bool
	}{
		"nothing selects nothing":            {nil, false},
		"empty selects nothing":              {resource.Labels{}, false},
		"everything":                         {resource.Labels{"*": {"*"}}, true},
		"the name * with another value":      {resource.Labels{"*": {"prod"}}, false},
		"the name * with more values":        {resource.Labels{"*": {"*", "x"}}, false},
		"one of several values":              {resource.Labels{"env": {"dev", "prod"}}, true},
		"all keys":                           {resource.Labels{"env": {"prod"}, "region": {"us-*"}}, true},
		"one key fails":                      {resource.Labels{"env": {"prod"}, "region": {"eu-*"}}, false},
		"a missing key fails":                {resource.Labels{"team": {"*"}}, false},
		"* needs the key only":               {resource.Labels{"empty": {"*"}}, true},
		"regular expression":                 {resource.Labels{"region": {"^us-(west|east)-[0-9]$"}}, true},
		"each branch matches the whole text": {resource.Labels{"region": {"^us|west-1$"}}, false},
		"no value selects nothing":           {resource.Labels{"env": {}}, false},
		"an unreadable value":                {resource.Labels{"env": {"prod", "^($"}}, false},
		"an unreadable value beside *":       {resource.Labels{"*": {"*"}, "env": {"^($"}}, false},
		"case matters":                       {resource.Labels{"env": {"Prod"}}, false},
	} {
		if got := access.MatchLabels(tc.selector, labels); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !access.MatchLabels(resource.Labels{"*": {"*"}}, nil) {
		t.Error("everything does not include what has no labels")
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	traits := map[string][]string{
		"db_users": {"alice", "bob"}, "email": {"alice@example.com"}, "a b": {"x"}, "groups": {"db-red", "web"}, "blank": {""}, "bad": {"no-address"},
	}
	for template, want := range map[string]string{
		"plain":                           "plain",
		"*":                               "*",
		"{{internal.db_users}}":           "alice,bob",
		"{{ internal.db_users }}":         "alice,bob",
		"team-{{external.db_users}}-ro":   "team-alice-ro,team-bob-ro",
		`{{external["a b"]}}`:             "x",
		"{{external.missing}}":            "",
		"x-{{external.blank}}":            "",
		"{{email.local(external.email)}}": "alice",
		`{{regexp.replace(external.groups, "^db-(.*)$", "$1")}}`:                    "red",
		`{{regexp.replace(external.groups, "^db-(\w+)$", "{$1}")}}`:                 "{red}",
		`{{regexp.replace(email.local(external.email), "^(a).*$", "$1, \"(x)\"")}}`: `a, "(x)"`,
		`{{email.local(external["missing"])}}`:                                      "",
	} {
		got, err := access.Expand(template, traits)
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("%s: got %q, %v", template, got, err)
		}
	}
	for _, bad := range []string{
		"{{", "}}", "{{}}", "{{internal.nope}}", "{{external}}", "{{external.}}", "{{external.a-b}}", "{{external.1a}}", `{{external[""]}}`, "{{foo.bar}}",
		"{{external.a}}{{external.b}}", "{{email.local(external.a}}", "{{email.local()}}", "{{upper(external.a)}}", `{{regexp.replace(external.a, "(", "")}}`,
		`{{regexp.replace(external.a, "x")}}`, `{{regexp.replace(external.a, x, y)}}`, "{{email.local(external.bad)}}", strings.Repeat("{{email.local(", 20),
	} {
		if got, err := access.Expand(bad, traits); err == nil {
			t.Errorf("%s gives %q", bad, got)
		}
	}
}

func TestParseLabels(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		"":                        {},
		"env=prod":                {"env": "prod"},
		"env=prod, team=red":      {"env": "prod", "team": "red"},
		`k=v,k2="a, b"`:           {"k": "v", "k2": "a, b"},
		`"a=b"='c=d'`:             {"a=b": "c=d"},
		"a=b=c":                   {"a": "b=c"},
		"a=":                      {"a": ""},
		"owner=O'Brien":           {"owner": "O'Brien"},
		"teleport.dev/origin=x,,": {"teleport.dev/origin": "x"},
	} {
		got, err := access.ParseLabels(text)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"env", "=x", `a="b`, "a=1,a=2", `""=x`} {
		if got, err := access.ParseLabels(bad); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%s: got %v, %v", bad, got, err)
		}
	}
}

func TestParseSearch(t *testing.T) {
	t.Parallel()
	got, err := access.ParseSearch(`prod, "us east", ,mysql`)
	if err != nil || !slices.Equal(got, []string{"prod", "us east", "mysql"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := access.ParseSearch(`"open`); !fault.Is(err, fault.BadParameter) {
		t.Errorf("got %v", err)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	db := &resource.Database{
		Header: resource.Header{Kind: "db", Metadata: resource.Metadata{Name: "orders", Description: "Main shop", Labels: map[string]string{"env": "prod"}}},
		Spec:   resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432"},
	}
	for name, tc := range map[string]struct {
		filter access.Filter
		want   bool
	}{
		"nothing":                 {access.Filter{}, true},
		"label":                   {access.Filter{Labels: map[string]string{"env": "prod"}}, true},
		"another value":           {access.Filter{Labels: map[string]string{"env": "dev"}}, false},
		"missing label":           {access.Filter{Labels: map[string]string{"x": ""}}, false},
		"words":                   {access.Filter{Search: []string{"SHOP", "postgres", "prod"}}, true},
		"one word missing":        {access.Filter{Search: []string{"shop", "mysql"}}, false},
		"query":                   {access.Filter{Query: `labels["env"] == "prod" && hasPrefix(name, "ord")`}, true},
		"query by path":           {access.Filter{Query: `resource.metadata.labels["env"] != "prod" || resource.spec.protocol == "mysql"`}, false},
		"query with search":       {access.Filter{Query: `search("main shop") && exists(labels["env"])`}, true},
		"parts are all necessary": {access.Filter{Labels: map[string]string{"env": "prod"}, Search: []string{"orders"}, Query: `name == "other"`}, false},
	} {
		m, err := tc.filter.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Match(db); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if _, err := (access.Filter{Query: `labels["env"`}).Compile(); !fault.Is(err, fault.BadParameter) {
		t.Errorf("got %v", err)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"{{internal.db_users}}", `a-{{regexp.replace(external["x"], "^(.*)$", "$1")}}`, "{{email.local(external.email)}}", "{{"} {
		f.Add(s, "alice@example.com")
	}
	f.Fuzz(func(t *testing.T, template, value string) {
		got, err := access.Expand(template, map[string][]string{"db_users": {value}, "x": {value}, "email": {value}})
		if err == nil && !strings.Contains(template, "{{") && (len(got) != 1 || got[0] != template) {
			t.Fatalf("plain text %q became %q", template, got)
		}
		if none, err := access.Expand(template, nil); err == nil && strings.Contains(template, "{{") && len(none) != 0 {
			t.Fatalf("without traits %q became %q", template, none)
		}
	})
}

func FuzzMatchLabels(f *testing.F) {
	f.Add("prod*", "production")
	f.Add("^a|b$", "ab")
	f.Add("a*b*c", "abc")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		got := access.MatchLabels(resource.Labels{"k": {pattern}}, map[string]string{"k": value})
		if access.MatchLabels(resource.Labels{"k": {pattern}}, map[string]string{"other": value}) {
			t.Fatal("an absent label matches")
		}
		isRegexp := len(pattern) > 1 && pattern[0] == '^' && pattern[len(pattern)-1] == '$'
		if !isRegexp && !strings.Contains(pattern, "*") && got != (pattern == value) {
			t.Fatalf("the literal %q matches %q: %t", pattern, value, got)
		}
	})
}

func FuzzParseLabels(f *testing.F) {
	f.Add(`k=v,k2="a b"`)
	f.Fuzz(func(t *testing.T, s string) {
		labels, err := access.ParseLabels(s)
		if err != nil && !fault.Is(err, fault.BadParameter) {
			t.Fatal(err)
		}
		if _, empty := labels[""]; empty {
			t.Fatal("a label without a name")
		}
	})
}
