package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/store"
)

// fragile is a store that fails when it is told to.
type fragile struct {
	store.Store
	broken atomic.Bool
}

func (f *fragile) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if f.broken.Load() {
		return nil, errors.New("the disk is gone")
	}
	return f.Store.List(ctx, prefix, after, limit)
}

// TestTheLogHasFaultsOfOursAndNotThoseOfCallers keeps users from filling the log of the auth server.
func TestTheLogHasFaultsOfOursAndNotThoseOfCallers(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	disk := &fragile{}
	w := newWorld(t, func(cfg *auth.Config) {
		disk.Store = cfg.Store
		cfg.Store, cfg.Logger = disk, slog.New(slog.NewTextHandler(&log, nil))
	})
	w.invite("alice", "access", "auditor")
	alice := w.as(w.user("alice"))
	log.Reset()
	for _, sid := range []string{"nope", "", "11111111-1111-4111-8111-111111111111"} {
		stream, err := alice.Audit.ReadSession(t.Context(), &sallyportv1.ReadSessionRequest{SessionId: sid})
		if err != nil {
			t.Fatal(err)
		}
		if stream.Receive() || stream.Err() == nil {
			t.Errorf("session %q is there", sid)
		}
	}
	_, err := alice.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "toaster", Name: "x"})
	if err == nil || strings.Contains(log.String(), "call failed") {
		t.Errorf("%v; mistakes of a user are logged as errors: %s", err, log.String())
	}
	disk.broken.Store(true)
	if _, err := w.admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "role"}); err == nil || !strings.Contains(log.String(), `msg="call failed" procedure=/sallyport.v1.ResourceService/ListResources error="the disk is gone"`) {
		t.Errorf("%v; a fault of the store is not logged: %s", err, log.String())
	}
}
