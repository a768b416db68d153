package auth_test

import (
	"context"
	"errors"
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
	cfg.Bootstrap, cfg.Store = all(), whole
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
