package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const lockHost = "kind: lock\nversion: v2\nmetadata: {name: 22222222-2222-4222-8222-222222222222}\nspec: {target: {server_id: '"

// TestAWatchEndsWhenItsHostIsLocked at once, and not at the next sign of life.
func TestAWatchEndsWhenItsHostIsLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		agent, other := w.host(resource.RoleDb), w.host(resource.RoleDb)
		stream, err := w.as(agent).Resources.WatchResources(t.Context(), &sallyportv1.WatchResourcesRequest{Kinds: []string{"lock", "role"}})
		if err != nil {
			t.Fatal(err)
		}
		locks := 0
		receive := func() bool {
			for stream.Receive() {
				if stream.Msg().GetResource().GetKind() == "lock" {
					locks++
					return true
				}
				if stream.Msg().GetChange() == sallyportv1.WatchResourcesResponse_CHANGE_SYNCED {
					return true
				}
			}
			return false
		}
		if !receive() {
			t.Fatal(stream.Err())
		}
		began := time.Now()
		w.mustApply(lockHost + other.Name + "'}}\n")
		if !receive() || locks != 1 {
			t.Fatalf("a lock on another host: %v", stream.Err())
		}
		w.mustApply(lockHost + agent.Name + "'}}\n")
		if !receive() || locks != 2 {
			t.Fatalf("the host does not hear that it is locked: %v", stream.Err())
		}
		if receive() {
			t.Fatal("the watch goes on")
		}
		wantKind(t, stream.Err(), fault.AccessDenied, "lock targeting ServerID")
		if took := time.Since(began); took >= time.Second {
			t.Errorf("it ended %s later", took)
		}
	})
}

func TestEveryKindOfMemberMayWatchLocksAndProxies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, role := range []resource.SystemRole{resource.RoleAuth, resource.RoleProxy, resource.RoleDb, resource.RoleDiscovery} {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := w.as(w.host(role)).Resources.WatchResources(ctx, &sallyportv1.WatchResourcesRequest{Kinds: []string{"lock", "proxy"}})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() {
			t.Errorf("a host with the role %s: %v", role, stream.Err())
		}
		cancel()
		_ = stream.Close()
	}
}
