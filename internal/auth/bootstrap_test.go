package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/resource"
	"sallyport/internal/store"
	"sallyport/internal/store/memory"
)

// TestABootstrapGoesOnWhereItFailed has a store that fails at the second resource, and resources that were read from
// another cluster. Nothing is missing after the next start.
func TestABootstrapGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	all := func() []resource.Resource {
		list, err := resource.ParseYAML([]byte("kind: role\nversion: v7\nmetadata: {name: one, revision: '7'}\nspec: {}\n---\n" +
			"kind: role\nversion: v7\nmetadata: {name: two, revision: '9'}\nspec: {}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var cfg auth.Config
	newWorld(t, func(c *auth.Config) { cfg = *c })
	whole := memory.New(cfg.Now)
	cfg.Bootstrap, cfg.Store = all(), failing{whole, "/role/two"}
	if _, err := auth.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `role "two"`) {
		t.Fatalf("the first start: %v", err)
	}
	var log bytes.Buffer
	cfg.Bootstrap, cfg.Store, cfg.Logger = nil, whole, slog.New(slog.NewTextHandler(&log, nil))
	if _, err := auth.New(t.Context(), cfg); err != nil || !strings.Contains(log.String(), "not all there") {
		t.Fatalf("a start without the resources: %v, and the log says %s", err, log.String())
	}
	log.Reset()
	cfg.Bootstrap = all()
	for range 2 {
		if _, err := auth.New(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two"} {
		if _, err := whole.Get(t.Context(), "/role/"+name); err != nil {
			t.Errorf("role %s: %v", name, err)
		}
	}
	if err := whole.Delete(t.Context(), "/role/two", 0); err != nil {
		t.Fatal(err)
	}
	cfg.Bootstrap = all()
	if _, err := auth.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := whole.Get(t.Context(), "/role/two"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cluster that exists was bootstrapped again: %v", err)
	}
	if strings.Contains(log.String(), "not all there") {
		t.Errorf("the log says %s", log.String())
	}
}

func TestFilesThatAuthDoesNotStartWith(t *testing.T) {
	t.Parallel()
	var cfg auth.Config
	newWorld(t, func(c *auth.Config) { cfg = *c })
	for name, c := range map[string]struct{ file, says string }{
		"a role that cannot be kept":  {"kind: role\nversion: v7\nmetadata: {name: one}\nspec: {options: {request_access: always}}\n", "request_access"},
		"a user with an unknown role": {"kind: user\nversion: v2\nmetadata: {name: zoe}\nspec: {roles: [nobody]}\n", `"zoe" has the role "nobody"`},
		"the mask of a token":         {"kind: token\nversion: v2\nmetadata: {name: '****************************eeff'}\nspec: {roles: [Db], join_method: token}\n", "masked"},
	} {
		list, err := resource.ParseYAML([]byte(c.file))
		if err == nil {
			cfg.Bootstrap, cfg.Store = list, memory.New(cfg.Now)
			_, err = auth.New(t.Context(), cfg)
			if stored, listErr := cfg.Store.List(t.Context(), "/", "", 0); listErr != nil || len(stored) > 0 {
				t.Errorf("%s: %d things are stored, %v", name, len(stored), listErr)
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		// A cluster that exists ignores it, and starts.
		cfg.Bootstrap = nil
		if _, err := auth.New(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		cfg.Bootstrap = list
		if _, err := auth.New(t.Context(), cfg); err != nil {
			t.Errorf("%s, ignored: %v", name, err)
		}
	}
}

// TestStoredRolesThatAreNotKeptAreToldAtTheStart has a role of a time when it was accepted.
func TestStoredRolesThatAreNotKeptAreToldAtTheStart(t *testing.T) {
	t.Parallel()
	var cfg auth.Config
	newWorld(t, func(c *auth.Config) { cfg = *c })
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	old := []byte(`{"kind":"role","version":"v7","metadata":{"name":"old"},"spec":{"options":{"request_access":"always"}}}`)
	if _, err := cfg.Store.Put(t.Context(), store.Item{Key: "/role/old", Value: old}); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "role=old key=spec.options.request_access") {
		t.Errorf("the log says %s", log.String())
	}
}

// failing is a store that cannot write one key.
type failing struct {
	store.Store
	key string
}

func (f failing) Put(ctx context.Context, item store.Item) (uint64, error) {
	if item.Key == f.key {
		return 0, errors.New("the disk is full")
	}
	return f.Store.Put(ctx, item)
}
