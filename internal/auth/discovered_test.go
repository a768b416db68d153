package auth_test

import (
	"testing"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func remove(t *testing.T, api *authapi.Client, kind, name string) error {
	t.Helper()
	_, err := api.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: kind, Name: name})
	return err
}

func TestDiscoveryWritesWhatItFoundOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	finds := w.as(w.host(resource.RoleDiscovery))
	database := func(name, labels, spec string) string {
		return "kind: db\nversion: v3\nmetadata: {name: " + name + ", labels: {" + labels + "}}\nspec: {protocol: postgres, uri: 'h:1'" + spec + "}\n"
	}
	const cloud = "teleport.dev/origin: cloud"
	w.mustApply(database("mine", "a: b", ""))
	for rule, one := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"another origin":                  {database("x", "teleport.dev/origin: config-file", ""), fault.AccessDenied},
		"no origin":                       {database("x", "a: b", ""), fault.AccessDenied},
		"a label with a command":          {database("x", cloud, ", dynamic_labels: {l: {period: 1m, command: [id]}}"), fault.AccessDenied},
		"certificates that nobody checks": {database("x", cloud, ", tls: {mode: insecure}"), fault.AccessDenied},
		"an administrator's database":     {database("mine", cloud, ""), fault.AlreadyExists},
		"a role":                          {"kind: role\nversion: v7\nmetadata: {name: x}\n", fault.AccessDenied},
		"another host's status":           {"kind: discovery_service\nversion: v1\nmetadata: {name: x}\nspec: {matchers: []}\n", fault.AccessDenied},
	} {
		if err := apply(t, finds, one.text); !fault.Is(err, one.kind) {
			t.Errorf("%s: got %v, want %v", rule, err, one.kind)
		}
	}
	if err := apply(t, finds, database("found", cloud, "")); err != nil {
		t.Fatal(err)
	}
	if err := remove(t, finds, resource.KindDatabase, "mine"); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("removing an administrator's database: %v", err)
	}
	if err := remove(t, w.as(w.host(resource.RoleDb)), resource.KindDatabase, "found"); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("an agent removes a database: %v", err)
	}
	if err := remove(t, finds, resource.KindDatabase, "found"); err != nil {
		t.Error(err)
	}
}
