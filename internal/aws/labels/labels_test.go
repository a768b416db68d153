package labels_test

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

func TestTagsGrantNothing(t *testing.T) {
	t.Parallel()
	own := labels.Place("123456789012", "us-west-1")
	for _, test := range []struct {
		name, key, value string
		taken            bool
	}{
		{"an ordinary tag", "env", "prod", true},
		{"a tag with a name of AWS", "aws:cloudformation:stack-name", "x", true},
		{"a tag that says the region", "region", "eu-west-1", false},
		{"a tag that says the account", "account-id", "999999999999", false},
		{"the same in capitals", "Account-ID", "999999999999", false},
		{"the same behind a space", " region", "x", false},
		{"a label that the database does not have", "engine", "redis", false},
		{"the origin", "teleport.dev/origin", "dynamic", false},
		{"the administrator of accounts", "teleport.dev/db-admin", "postgres", false},
		{"the cloud", "TELEPORT.dev/cloud", "x", false},
		{"a name of discovery", "teleport.internal/discovered-name", "x", false},
		{"the output of a command", "dynamic/host", "x", false},
		{"a tag of the agent's instance", "aws/env", "x", false},
		{"no name", "", "x", false},
		{"a blank name", " ", "x", false},
		{"a line break in the value", "note", "a\nb", false},
		{"a control character in the name", "no\x1bte", "x", false},
		{"not UTF-8", "note", "\xff", false},
	} {
		got := labels.Tagged(own, map[string]string{test.key: test.value})
		value, taken := got[test.key]
		if isOwn := own[test.key] != ""; !isOwn && taken != test.taken || taken && !isOwn && value != test.value || isOwn && value != own[test.key] {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if !maps.Equal(own, labels.Place("123456789012", "us-west-1")) {
		t.Error("the labels given were changed")
	}
	if _, ok := labels.Place("", "us-west-1")["account-id"]; ok {
		t.Error("an unknown account became a label")
	}
}

func TestWhatIsConfiguredWins(t *testing.T) {
	t.Parallel()
	db := &resource.Database{}
	db.Metadata.Labels = map[string]string{"env": "prod", "region": "mine"}
	got := labels.Configured(db, map[string]string{"env": "dev", "team": "blue", "region": "us-west-1"})
	if !maps.Equal(got, map[string]string{"env": "prod", "team": "blue", "region": "mine"}) {
		t.Errorf("got %v", got)
	}
}

var reserved = regexp.MustCompile(`^(account-id|region|engine|engine-version|endpoint-type|vpc-id|namespace|workgroup|(teleport\.(dev|internal)|aws|dynamic)/.*)$`)

// FuzzTagged has tags that whoever may tag a resource in AWS chooses.
func FuzzTagged(f *testing.F) {
	for _, key := range []string{"region", "Region ", "teleport.dev/origin", "TELEPORT.dev/db-admin", "teleport.internal/discovered-name", "dynamic/x", "aws/team", "env", "account-id", "\u212Aey"} {
		f.Add(key, "value", "env", "prod")
	}
	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		own := labels.Place("", "us-west-1") // AWS did not tell the account
		own["env"] = "ours"
		all := labels.Tagged(own, map[string]string{key: value, otherKey: otherValue})
		for name, text := range own {
			if all[name] != text {
				t.Fatalf("a tag %q or %q replaced %s", key, otherKey, name)
			}
		}
		for name := range all {
			if _, ours := own[name]; ours {
				continue
			}
			folded := strings.ToLower(strings.TrimSpace(name))
			if folded != name && labels.Tagged(nil, map[string]string{folded: "x"})[folded] == "" {
				t.Fatalf("the tag %q is taken, and %q is not", name, folded)
			}
			if reserved.MatchString(folded) {
				t.Fatalf("the tag %q became a label", name)
			}
			if name != key && name != otherKey || !utf8.ValidString(name) || strings.ContainsAny(name+all[name], "\n\r\x00\x1b") {
				t.Fatalf("a label %q=%q", name, all[name])
			}
		}
	})
}
