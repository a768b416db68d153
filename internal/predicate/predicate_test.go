package predicate_test

import (
	"strings"
	"testing"

	"sallyport/internal/predicate"
)

func values() predicate.Values {
	return predicate.Values{
		"user.metadata.name": "alice",
		"user.spec.roles":    []string{"access", "dba"},
		"user.spec.traits":   map[string][]string{"teams": {"red", "blue"}, "email": {"alice@example.com"}},
		"labels":             map[string]string{"env": "staging", "team": "red", "empty": ""},
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		`true`:                       true,
		`!true`:                      false,
		`labels["env"] == "staging"`: true,
		`labels['env'] != 'prod'`:    true,
		`labels["none"] == ""`:       true,
		`contains(user.spec.traits["teams"], labels["team"])`:                              true,
		`contains(user.spec.traits["nothing"], "red")`:                                     false,
		`labels["env"] == "prod" || user.metadata.name == "alice"`:                         true,
		`labels["env"] == "prod" && user.metadata.name == "alice" || true`:                 true,
		`labels["env"] == "prod" && (user.metadata.name == "alice" || true)`:               false,
		`!(labels["env"] == "prod") && !false`:                                             true,
		`equals(user.metadata.name, "alice")`:                                              true,
		`has_prefix(labels["env"], "sta") && hasPrefix(labels["env"], "s")`:                true,
		`contains_any(user.spec.roles, set("x", "dba"))`:                                   true,
		`contains_all(user.spec.roles, set("x", "dba"))`:                                   false,
		`contains_all(user.spec.roles, set())`:                                             false,
		`regexp.match(labels["env"], "sta.*")`:                                             true,
		`regexp.match(labels["env"], "sta")`:                                               false,
		`regexp.match(user.spec.roles, "^db.|x$")`:                                         true,
		`strings.upper(labels["env"]) == "STAGING"`:                                        true,
		`contains(strings.lower(set("ABC")), "abc")`:                                       true,
		`contains(email.local(user.spec.traits["email"]), user.metadata.name)`:             true,
		`exists(labels["empty"]) && !exists(labels["none"]) && is_empty(set())`:            true,
		`user.spec.roles == set("access", "dba")`:                                          true,
		"labels[\"env\"] == `staging`":                                                     true,
		strings.Repeat("(", 30) + "true" + strings.Repeat(")", 30):                         true,
		`labels[strings.lower("ENV")] == "staging" && "a\"b" == 'a"b' && (true == !!true)`: true,
	} {
		e, err := predicate.Parse(expression, predicate.ForLabels())
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := e.Match(values()); got != want {
			t.Errorf("%s: got %t", expression, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		``:                                 "ends too early",
		`labels["env"]`:                    "must be true or false, but is a string",
		`labels`:                           "must be true or false",
		`labels == labels`:                 "cannot compare whole maps",
		`labels["env"] == user.spec.roles`: "cannot compare a string with a list",
		`contains("a", "b")`:               "contains at column 1: needs a list and a string",
		`nope`:                             "the name nope at column 1 is not known; use labels, user.metadata.name",
		`nope("a")`:                        "there is no such function",
		`_search == set()`:                 "not known",
		`search("a")`:                      "can be used in filters of lists only",
		`true true`:                        `unexpected "true" at column 6`,
		`true &&`:                          "ends too early",
		`true & true`:                      `unexpected '&' at column 6`,
		`"a" = "b"`:                        `unexpected '=' at column 5`,
		`(true`:                            `where ")" is expected`,
		`(true]`:                           `expected ")" instead of "]" at column 6`,
		`"open == "x"`:                     `at column`,
		`"open`:                            `unclosed string at column 1`,
		`"\q" == ""`:                       `bad string at column 1`,
		`regexp.match("a", "(")`:           "is not a regular expression",
		`regexp.match("a", labels["re"])`:  "a pattern in quotes",
		`labels[user.spec.roles] == "a"`:   "the key of labels must be a string",
		`user.metadata.name["a"] == "a"`:   "has no keys",
		`exists("a")`:                      `name["key"]`,
		`!"a"`:                             "needs a condition",
		`"a" && true`:                      "needs conditions on both sides",
		strings.Repeat("(", 1000):          "nested deeper",
		strings.Repeat("!", 1000) + "true": "nested deeper",
		strings.Repeat("a", 20_000):        "longer than",
	} {
		_, err := predicate.Parse(expression, predicate.ForLabels())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", expression, err, want)
		}
	}
}

func TestValuesOfAnotherTypeAreEmpty(t *testing.T) {
	t.Parallel()
	e, err := predicate.Parse(`labels["a"] == "" && is_empty(user.spec.roles)`, predicate.ForLabels())
	if err != nil {
		t.Fatal(err)
	}
	if !e.Match(predicate.Values{"labels": 7, "user.spec.roles": "x"}) || !e.Match(nil) {
		t.Error("a value of another type is not empty")
	}
}

func TestSearchLooksThroughTheTextsOfTheRow(t *testing.T) {
	t.Parallel()
	e, err := predicate.Parse(`search("PROD", "us")`, predicate.ForQuery())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		texts []string
		want  bool
	}{{[]string{"my-prod", "region=us-1"}, true}, {[]string{"my-prod"}, false}, {nil, false}} {
		if got := e.Match(predicate.Values{predicate.SearchText: tc.texts}); got != tc.want {
			t.Errorf("%v: got %t", tc.texts, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`labels["a"] == "b" || !contains(user.spec.roles, 'x')`, `regexp.match(labels["e"], "^a$")`, `(((`, "`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := predicate.Parse(s, predicate.ForLabels())
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !strings.Contains(s, "\n") {
				t.Fatalf("the error has several lines: %v", err)
			}
			return
		}
		if first, second := e.Match(values()), e.Match(values()); first != second {
			t.Fatal("two evaluations differ")
		}
	})
}
