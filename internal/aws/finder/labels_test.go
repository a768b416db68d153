package finder_test

import (
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/finder"
	"sallyport/internal/resource"
)

// attack are tags that would grant something if they were believed.
var attack = map[string]string{
	"teleport.dev/origin":                    "dynamic",
	"teleport.dev/discovery-type":            "redshift",
	"teleport.dev/cloud":                     "Azure",
	"Teleport.dev/Origin":                    "config-file",
	"account-id":                             "999999999999",
	"Account-ID":                             "999999999999",
	"region":                                 "mars-1",
	" region":                                "mars-1",
	"engine":                                 "redis",
	"engine-version":                         "1",
	"endpoint-type":                          "primary",
	"vpc-id":                                 "vpc-mine",
	"namespace":                              "mine",
	"workgroup":                              "mine",
	"teleport.internal/discovery-group-name": "other",
	"teleport.internal/discovery-config-name": "other",
	"teleport.internal/discovered-name":       "other",
	"teleport.internal/discovery-integration": "other",
	"teleport.internal/resource-type":         "node",
	"dynamic/hostname":                        "x",
	"aws/env":                                 "prod",
	"teleport.dev/db-admin":                   "root",
	"teleport.dev/db-admin-default-database":  "postgres",
	"teleport.dev/assume-role-arn":            "arn:aws:iam::999999999999:role/mine",
	"note":                                    "two\nlines",
	"no\u202ete":                              "x",
	"":                                        "x",
}

func TestTagsGrantNothing(t *testing.T) {
	c := start(t).has(t, instance("orders"))
	plain := c.find(t, "rds")[0]
	for key, value := range attack {
		c := start(t).has(t, instance("orders", key, value))
		dbs := c.find(t, "rds")
		if len(dbs) != 1 {
			t.Errorf("%q: %d databases", key, len(dbs))
			continue
		}
		got, err := resource.Encode(dbs[0])
		want, _ := resource.Encode(plain)
		if err != nil || string(got) != string(want) {
			t.Errorf("the tag %q makes %s", key, got)
		}
	}
	all := instance("orders")
	all.Tags = attack
	dbs := start(t).has(t, all).find(t, "rds")
	got, _ := resource.Encode(dbs[0])
	if want, _ := resource.Encode(plain); string(got) != string(want) {
		t.Errorf("all tags together make %s", got)
	}
}

func TestOrdinaryTagsBecomeLabels(t *testing.T) {
	tags := named("env", "prod", "Cost Center", "42", "aws:cloudformation:stack-name", "s", "team/owner", "blue", "empty", "", tagName, "orders", "größe", "XL")
	c := start(t).has(t, &rds.Instance{Place: here, ID: "a", Tags: tags})
	got := c.find(t, "rds")[0].Metadata.Labels
	for key, value := range tags {
		if label, ok := got[key]; !ok || label != value {
			t.Errorf("%s=%s became %q (%v)", key, value, label, ok)
		}
	}
}

func TestTagsAreMatchedAgainstLabels(t *testing.T) {
	c := start(t).has(t, instance("a", "env", "prod", "team", "red"), instance("b", "env", "dev"), instance("c"), withReader(cluster("k", "env", "prod")))
	for _, test := range []struct {
		name string
		tags resource.Labels
		want string // first letters of names
	}{
		{"no tags are all", nil, "a b c k k"},
		{"a star is all", resource.Labels{"*": {"*"}}, "a b c k k"},
		{"a tag", resource.Labels{"env": {"prod"}}, "a k k"},
		{"all keys must match", resource.Labels{"env": {"prod"}, "team": {"red"}}, "a"},
		{"any value of a key", resource.Labels{"env": {"dev", "prod"}}, "a b k k"},
		{"a star for the value asks for the key", resource.Labels{"env": {"*"}}, "a b k k"},
		{"a pattern", resource.Labels{"env": {"p*"}}, "a k k"},
		{"an expression", resource.Labels{"env": {"^(dev|test)$"}}, "b"},
		{"a label that AWS tells", resource.Labels{"engine": {"postgres"}}, "a b c"},
		{"the kind of endpoint", resource.Labels{"endpoint-type": {"reader"}}, "k"},
		{"region and account", resource.Labels{"region": {region}, "account-id": {account}}, "a b c k k"},
		{"labels of discovery are not there yet", resource.Labels{resource.LabelOrigin: {"cloud"}}, ""},
		{"nor is the short name", resource.Labels{resource.LabelDiscovered: {"*"}}, ""},
	} {
		dbs, err := c.Find(t.Context(), finder.Query{Type: "rds", Region: region, Tags: test.tags})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, db := range dbs {
			got = append(got, db.GetName()[:1])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
}
