package identity_test

import (
	"testing"

	"sallyport/internal/identity"
)

func user() *identity.Identity {
	return &identity.Identity{
		Kind: identity.User, Cluster: "example", Name: "alice", Roles: []string{"db"},
		Traits: map[string][]string{"db_users": {"a", "b"}},
		Route:  &identity.Route{Service: "orders", Protocol: "postgres"},
	}
}

func TestEncodingRoundTrips(t *testing.T) {
	t.Parallel()
	ext, err := user().Extension()
	if err != nil {
		t.Fatal(err)
	}
	got, err := identity.Decode(ext.Value)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "alice" || got.Route.Service != "orders" || got.Traits["db_users"][1] != "b" {
		t.Fatalf("got %+v", got)
	}
}

func TestOnlyTheCanonicalEncodingIsAccepted(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"white space":      `{"kind":"user", "cluster":"c","name":"a"}`,
		"unknown field":    `{"kind":"user","cluster":"c","name":"a","admin":true}`,
		"repeated field":   `{"kind":"user","cluster":"c","name":"b","name":"a"}`,
		"other order":      `{"cluster":"c","kind":"user","name":"a"}`,
		"trailing bytes":   `{"kind":"user","cluster":"c","name":"a"} `,
		"unknown kind":     `{"kind":"root","cluster":"c","name":"a"}`,
		"no cluster":       `{"kind":"user","cluster":"","name":"a"}`,
		"user as host":     `{"kind":"user","cluster":"c","name":"a","system_roles":["Auth"]}`,
		"host with roles":  `{"kind":"host","cluster":"c","name":"a","roles":["db"]}`,
		"fold-equal field": `{"kind":"user","cluster":"c","Name":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := identity.Decode([]byte(value)); err == nil {
				t.Fatalf("accepted as %+v", id)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	ext, err := user().Extension()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ext.Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		id, err := identity.Decode(value)
		if err != nil {
			return
		}
		again, err := id.Extension()
		if err != nil {
			t.Fatalf("decoded %q but cannot encode it: %v", value, err)
		}
		if string(again.Value) != string(value) {
			t.Fatalf("two encodings of one identity: %q and %q", value, again.Value)
		}
	})
}
