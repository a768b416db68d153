package credentials_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/credentials"
)

func TestSessionNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	for _, test := range []struct{ name, user, want string }{
		{"a valid name is itself", "alice@example.com", "alice@example.com"},
		{"64 characters are enough", long[:64], long[:64]},
		{"65 are cut, and the hash of all is added", long, long[:47] + "-78c741ddc482e4cd"},
		{"a space", "a b", "a-b-"},
		{"not of ASCII", "ålice", "-lice-"},
		{"one character is too short", "a", "a-"},
		{"what looks like a hash gets one", "a-0123456789abcdef", "a-0123456789abcdef-"},
		{"nobody", "", "-"},
	} {
		got := credentials.SessionName(test.user)
		if !strings.HasPrefix(got, test.want) || len(got) < 2 || len(got) > 64 {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	// None of these may share a name with another.
	users := []string{"a b", "a-b", "a+b", "a\tb", long, long + "x", credentials.SessionName("a b"), credentials.SessionName(long), credentials.SessionName(credentials.SessionName("a b"))}
	var names []string
	for _, user := range users {
		names = append(names, credentials.SessionName(user))
	}
	slices.Sort(names)
	if distinct := slices.Compact(slices.Clone(names)); len(distinct) != len(users) {
		t.Errorf("names are shared: %q", names)
	}
}

func FuzzSessionName(f *testing.F) {
	for _, seed := range []string{"", "a", "a b", "alice@example.com", strings.Repeat("é", 100), "a-0123456789abcdef"} {
		f.Add(seed, seed+"x")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		a, b := credentials.SessionName(one), credentials.SessionName(two)
		for _, name := range []string{a, b} {
			if len(name) < 2 || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
				return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-", r)
			}) {
				t.Errorf("%q is not a name of a session", name)
			}
		}
		if a == b && one != two {
			t.Errorf("%q and %q are both %q", one, two, a)
		}
	})
}
