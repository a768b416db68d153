package auth_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const passwordOnly = "kind: cluster_auth_preference\nversion: v2\nspec: {second_factor: \"off\"}\n"

func TestNobodyUnlocksItselfByAReset(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lock    func(w *world, eve *person)
		refused bool
	}{
		"not locked": {func(*world, *person) {}, false},
		"locked out by failed logins": {func(_ *world, eve *person) {
			for range 5 {
				_, _ = eve.login("eve", "not the password", "")
			}
		}, true},
		"locked out under her name in other letters": {func(_ *world, eve *person) {
			for range 5 {
				_, _ = eve.login("EVE", "not the password", "")
			}
		}, true},
		"some failed logins": {func(_ *world, eve *person) {
			for range 4 {
				_, _ = eve.login("eve", "not the password", "")
			}
		}, false},
		"locked by an administrator": {func(w *world, _ *person) {
			w.mustApply("kind: user\nversion: v2\nmetadata: {name: eve}\nspec: {roles: [editor], status: {is_locked: true, locked_message: no}}\n")
		}, true},
		"a lock that is over": {func(w *world, eve *person) {
			for range 5 {
				_, _ = eve.login("eve", "not the password", "")
			}
			w.clock.Advance(21 * time.Minute)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustApply(passwordOnly)
			eve := w.person("eve", "editor")
			c.lock(w, eve)
			id := w.user("eve")
			reset := func(api *authapi.Client) error {
				_, err := api.Users.ResetUser(t.Context(), &sallyportv1.ResetUserRequest{Name: "eve"})
				return err
			}
			err := reset(w.as(id))
			if !c.refused {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantKind(t, err, fault.AccessDenied, "your own account is locked")
			if _, err := eve.login("eve", password, ""); err == nil {
				t.Error("the lock was lifted")
			}
			if n := w.events("reset_password_token.create", `"name":"eve"`, `"user":"eve"`); n > 0 {
				t.Errorf("%d links are in the log", n)
			}
			if err := reset(w.admin); err != nil { // tctl on the auth server's host
				t.Errorf("an administrator's reset: %v", err)
			}
			if _, err := w.as(id).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err == nil {
				t.Error("the reset left the certificate good")
			}
		})
	}
}

func TestReadingSecretsIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.token("db")
	get := func(kind, name string, secrets bool) {
		t.Helper()
		if _, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: kind, Name: name, WithSecrets: secrets}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(kind string, secrets bool) {
		t.Helper()
		if _, err := w.admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: kind, WithSecrets: secrets}); err != nil {
			t.Fatal(err)
		}
	}
	get("cert_authority", "user", false)
	list("cert_authority", false)
	list("token", false)
	get("role", "access", true) // which holds none
	list("user", true)
	if n := w.events("secrets.read"); n != 0 {
		t.Errorf("%d events of reads without secrets", n)
	}
	get("cert_authority", "user", true)
	list("cert_authority", true)
	list("token", true)
	for _, want := range [][]string{
		{`"code":"SSR00I"`, `"kind":"cert_authority"`, `"name":"user"`},
		{`"kind":"cert_authority"`},
		{`"kind":"token"`},
		{`.test.local"`, `"user_kind":3`},
	} {
		if n := w.events("secrets.read", want...); n == 0 {
			t.Errorf("no event with %v", want)
		}
	}
	if n := w.events("secrets.read"); n != 3 {
		t.Errorf("%d events of three reads", n)
	}
}

func TestLocksThatHoldNobodyAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(d time.Duration) string { return w.clock.Now().Add(d).UTC().Format(time.RFC3339) }
	lock := func(metadata, spec string) error {
		return apply(t, w.admin, "kind: lock\nversion: v2\nmetadata: {name: 66666666-6666-4666-8666-666666666666"+metadata+"}\nspec: {target: {user: alice}"+spec+"}\n")
	}
	for name, c := range map[string]struct {
		metadata, spec string
		refused        bool
	}{
		"for ever":                         {"", "", false},
		"until later":                      {"", ", expires: '" + at(time.Minute) + "'", false},
		"until now":                        {"", ", expires: '" + at(0) + "'", true},
		"until a while ago":                {"", ", expires: '" + at(-time.Hour) + "'", true},
		"of a resource that ended already": {", expires: '" + at(-time.Hour) + "'", "", true},
	} {
		err := lock(c.metadata, c.spec)
		if c.refused != fault.Is(err, fault.BadParameter) || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.refused {
			wantKind(t, err, fault.BadParameter, "would be without effect")
		}
	}
}

func TestWhatIsOverCannotBeMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for kind, rest := range map[string]string{
		"token": "version: v2\nspec: {roles: [Db], join_method: token}\n",
		"role":  "version: v7\nspec: {}\n",
		"db":    "version: v3\nspec: {protocol: postgres, uri: 'localhost:5432'}\n",
	} {
		made := func(expires time.Duration) error {
			at := w.clock.Now().Add(expires).UTC().Format(time.RFC3339)
			return apply(t, w.admin, "kind: "+kind+"\nmetadata: {name: of-its-time-0123456789, expires: '"+at+"'}\n"+rest)
		}
		wantKind(t, made(-time.Second), fault.BadParameter, "the "+kind+" expired at")
		if err := made(time.Minute); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestALockVanishesWhenItIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	until := w.clock.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	w.mustApply("kind: lock\nversion: v2\nmetadata: {name: 55555555-5555-4555-8555-555555555555}\nspec: {target: {user: eve}, expires: '" + until + "'}\n")
	lock := func() (found *sallyportv1.Resource, n int) {
		t.Helper()
		res, err := w.admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindLock})
		if err != nil {
			t.Fatal(err)
		}
		if n = len(res.GetResources()); n > 0 {
			found = res.GetResources()[0]
		}
		return found, n
	}
	// Made longer, it holds longer.
	found, _ := lock()
	longer := w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	found.Json = []byte(strings.Replace(string(found.GetJson()), until, longer, 1))
	if _, err := w.admin.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: found}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(2 * time.Minute)
	if _, n := lock(); n != 1 {
		t.Errorf("%d locks after the first time was over", n)
	}
	w.clock.Advance(56 * time.Minute)
	for _, want := range []int{1, 0} {
		res, err := w.admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindLock})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(res.GetResources()); n != want {
			t.Errorf("%d locks, want %d", n, want)
		}
		w.clock.Advance(2 * time.Minute)
	}
}
