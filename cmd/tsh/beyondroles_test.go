package main

import (
	"slices"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/resource"
)

func TestALoginThatTheRolesWouldRefuseIsWarnedOf(t *testing.T) {
	t.Parallel()
	user := func(name, allowed string) string {
		return `your roles do not allow the database user "` + name + `" on database "shop", so that connections with it are refused; allowed: ` + allowed
	}
	name := func(name, allowed string) string {
		return `your roles do not allow the database name "` + name + `" on database "shop", so that connections with it are refused; allowed: ` + allowed
	}
	const role = "arn:aws:iam::123456789012:role/reader"
	for rule, c := range map[string]struct {
		protocol                            string
		allowed, denied, names, deniedNames []string
		user, name                          string
		want                                []string
	}{
		"an account that is allowed":                   {"postgres", []string{"alice", "app"}, nil, []string{"shop"}, nil, "app", "shop", nil},
		"none was named":                               {"postgres", []string{"alice"}, nil, []string{"shop"}, nil, "", "", nil},
		"an account that is not allowed":               {"postgres", []string{"alice", "app"}, nil, []string{"*"}, nil, "mallory", "shop", []string{user("mallory", "[alice app]")}},
		"an account that is denied":                    {"postgres", []string{"*"}, []string{"root"}, []string{"*"}, nil, "root", "", []string{user("root", "[*], except: [root]")}},
		"a name that is not allowed":                   {"postgres", []string{"*"}, nil, []string{"shop"}, nil, "alice", "zzz", []string{name("zzz", "[shop]")}},
		"a name that is denied":                        {"mongodb", []string{"*"}, nil, []string{"*"}, []string{"admin"}, "alice", "admin", []string{name("admin", "[*], except: [admin]")}},
		"both":                                         {"mongodb", nil, nil, nil, nil, "alice", "x", []string{user("alice", "(none)"), name("x", "(none)")}},
		"a name where names are not looked at":         {"mysql", []string{"*"}, nil, nil, nil, "alice", "zzz", nil},
		"the account of clients that name none":        {"redis", []string{"a", "b"}, nil, nil, nil, "", "", []string{user("default", "[a b]")}},
		"a role of AWS that is written in another way": {"mongodb", []string{role}, nil, []string{"*"}, nil, "role/reader", "d", nil},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			db := &client.Database{Database: &resource.Database{}, AllowedUsers: c.allowed, DeniedUsers: c.denied, AllowedNames: c.names, DeniedNames: c.deniedNames}
			db.Metadata.Name, db.Spec.Protocol, db.Spec.URI = "shop", c.protocol, "shop.example.com:1"
			if slices.Contains(c.allowed, role) {
				db.Spec.URI = "mongodb://docdb.cluster-abcdefghijkl.us-east-1.docdb.amazonaws.com:27017"
				db.Spec.AWS.AccountID = "123456789012"
			}
			got := beyondRoles(db, client.Route{Service: "shop", Protocol: c.protocol, User: c.user, Name: c.name})
			if !slices.Equal(got, c.want) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

func TestALoginNamesTheOnlyAccountOfDatabasesWhoseClientsNameNone(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		protocol        string
		allowed, denied []string
		given, want     string
	}{
		"Redis, with one account":            {"redis", []string{"alice"}, nil, "", "alice"},
		"Redis, with another one":            {"redis", []string{"alice"}, nil, "bob", "bob"},
		"Redis, with the usual account":      {"redis", []string{"default"}, nil, "", ""},
		"Redis, with all accounts":           {"redis", []string{"*"}, nil, "", ""},
		"Redis, with several accounts":       {"redis", []string{"alice", "bob"}, nil, "", ""},
		"Redis, with one that is denied too": {"redis", []string{"alice"}, []string{"alice"}, "", ""},
		"PostgreSQL, whose clients name one": {"postgres", []string{"alice"}, nil, "", ""},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			db := &client.Database{Database: &resource.Database{}, AllowedUsers: c.allowed, DeniedUsers: c.denied}
			db.Metadata.Name, db.Spec.Protocol, db.Spec.URI = "shop", c.protocol, "shop.example.com:1"
			if r := (&choice{dbUser: c.given}).forLogin(db); r.User != c.want || r.Service != "shop" || r.Protocol != c.protocol {
				t.Errorf("%+v, want the account %q", r, c.want)
			}
		})
	}
}
