package auth_test

import (
	"strings"
	"testing"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const healthConfig = "kind: health_check_config\nversion: v1\nmetadata: {name: prod}\nspec: {match: {db_labels: {env: prod}}}\n"

func healthConfigs(t *testing.T, api *authapi.Client) (names string, err error) {
	t.Helper()
	res, err := api.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindHealthCheckConfig})
	var all []string
	for _, one := range res.GetResources() {
		all = append(all, one.GetName())
	}
	return strings.Join(all, " "), err
}

// TestTheDefaultHealthCheckIsMadeOnce also for a cluster that is older than it, and stays as an administrator leaves it.
func TestTheDefaultHealthCheckIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	is := func(when, want string) {
		t.Helper()
		if names, err := healthConfigs(t, w.admin); err != nil || names != want {
			t.Errorf("%s: %q, %v", when, names, err)
		}
	}
	is("in a new cluster", "default")
	w.mustApply(strings.Replace(healthConfig, "prod}\nspec", "default}\nspec", 1))
	w.restart()
	forget := func() {
		t.Helper()
		if err := w.cfg.Store.Delete(t.Context(), "/preset/health_check_config/default", 0); err != nil {
			t.Fatal(err)
		}
		w.restart()
	}
	forget() // as in a cluster that had one of the name before
	got, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: resource.KindHealthCheckConfig, Name: "default"})
	if err != nil || !strings.Contains(string(got.GetResource().GetJson()), `"env":"prod"`) {
		t.Errorf("changed, after a restart: %s, %v", got.GetResource().GetJson(), err)
	}
	w.remove(resource.KindHealthCheckConfig, "default")
	w.restart()
	is("deleted, after a restart", "")
	forget()
	is("in a cluster of before there was one", "default")
	if n := w.events("health_check_config.delete", `"name":"default"`); n != 1 {
		t.Errorf("%d events of the deletion", n)
	}
}

func TestWhoMayChangeHealthChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("eve", "editor")
	w.invite("ann", "auditor")
	w.invite("bob", "access")
	for _, test := range []struct {
		name        string
		api         *authapi.Client
		read, write bool
	}{
		{"an editor", w.as(w.user("eve")), true, true},
		{"an auditor", w.as(w.user("ann")), false, false},
		{"somebody with access", w.as(w.user("bob")), false, false},
		{"an agent", w.as(w.host(resource.RoleDb)), true, false},
		{"a proxy", w.proxy, false, false},
	} {
		_, err := healthConfigs(t, test.api)
		if (err == nil) != test.read || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s reads: %v", test.name, err)
		}
		if err := apply(t, test.api, healthConfig); (err == nil) != test.write || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s writes: %v", test.name, err)
		}
		w.mustApply(healthConfig)
		_, err = test.api.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: resource.KindHealthCheckConfig, Name: "prod"})
		if (err == nil) != test.write || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s deletes: %v", test.name, err)
		}
	}
}
