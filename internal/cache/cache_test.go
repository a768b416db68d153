package cache_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/cache"
	"sallyport/internal/resource"
)

// source answers watches: with all roles of the map, then with what comes over the channel, until it is cut.
type source struct {
	sallyportv1connect.UnimplementedResourceServiceHandler

	mu      sync.Mutex
	roles   map[string]*resource.Role // guarded by mu
	refused int                       // watches to refuse; guarded by mu
	silent  bool                      // no signs of life; guarded by mu
	watches int                       // that were begun; guarded by mu
	cut     chan struct{}             // closed to end the watch that runs; guarded by mu
}

func (s *source) WatchResources(ctx context.Context, _ *sallyportv1.WatchResourcesRequest, stream *connect.ServerStream[sallyportv1.WatchResourcesResponse]) error {
	s.mu.Lock()
	s.watches++
	if s.refused > 0 {
		s.refused--
		s.mu.Unlock()
		return connect.NewError(connect.CodeUnavailable, nil)
	}
	cut := make(chan struct{})
	s.cut = cut
	var all []*sallyportv1.WatchResourcesResponse
	for name, role := range s.roles {
		json, err := resource.Encode(role)
		if err != nil {
			return err
		}
		all = append(all, &sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_PUT,
			Resource: &sallyportv1.Resource{Kind: resource.KindRole, Name: name, Json: json}})
	}
	s.mu.Unlock()
	for _, msg := range append(all, &sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_SYNCED}) {
		if err := stream.Send(msg); err != nil {
			return err
		}
	}
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-cut:
			return connect.NewError(connect.CodeUnavailable, nil)
		case <-alive.C:
			s.mu.Lock()
			silent := s.silent
			s.mu.Unlock()
			if silent {
				continue
			}
			if err := stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_ALIVE}); err != nil {
				return err
			}
		}
	}
}

func (s *source) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func role(t *testing.T, name string, life time.Duration) *resource.Role {
	t.Helper()
	r, err := resource.New(resource.KindRole)
	if err != nil {
		t.Fatal(err)
	}
	r.Meta().Name = name
	if life > 0 {
		expires := time.Now().Add(life)
		r.Meta().Expires = &expires
	}
	return r.(*resource.Role)
}

// follow runs a cache of the source's roles until the test ends.
func follow(t *testing.T, s *source) *cache.Cache {
	t.Helper()
	_, handler := sallyportv1connect.NewResourceServiceHandler(s)
	local, client := authapi.NewLocal(handler, nil)
	c := cache.New(client.Resources, []string{resource.KindRole}, time.Now, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		local.Close()
	})
	if err := c.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func has(c *cache.Cache, name string) bool {
	_, ok := cache.Get[*resource.Role](c, resource.KindRole, name)
	return ok
}

func TestExpiredResourcesAreGoneWhileAuthIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{roles: map[string]*resource.Role{"brief": role(t, "brief", time.Hour), "lasting": role(t, "lasting", 0)}}
		c := follow(t, s)
		if !has(c, "brief") || !has(c, "lasting") {
			t.Fatal("a role is missing")
		}
		s.set(func() { s.refused = 1 << 30; close(s.cut) })
		time.Sleep(2 * time.Hour)
		if has(c, "brief") {
			t.Error("an expired role is still there")
		}
		if n := len(cache.List[*resource.Role](c, resource.KindRole)); !has(c, "lasting") || n != 1 {
			t.Errorf("%d roles are left", n)
		}
	})
}

func TestWatchIsTakenUpAgain(t *testing.T) {
	for name, c := range map[string]struct {
		interrupt func(s *source)
		within    time.Duration
	}{
		"after a cut":            {func(s *source) { close(s.cut) }, 2 * time.Second},
		"after a long absence":   {func(s *source) { s.refused = 20; close(s.cut) }, 4 * time.Minute},
		"after a silent failure": {func(s *source) { s.silent = true }, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{roles: map[string]*resource.Role{"old": role(t, "old", 0)}}
				copied := follow(t, s)
				s.set(func() {
					c.interrupt(s)
					s.roles = map[string]*resource.Role{"new": role(t, "new", 0)} // what changes meanwhile
				})
				time.Sleep(c.within)
				s.set(func() { s.silent = false })
				time.Sleep(20 * time.Second)
				if has(copied, "old") || !has(copied, "new") {
					t.Errorf("old: %t, new: %t", has(copied, "old"), has(copied, "new"))
				}
				if age := copied.Age(); age > 20*time.Second {
					t.Errorf("the copy calls itself %s old", age)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.watches > 40 {
					t.Errorf("auth was asked %d times", s.watches)
				}
			})
		})
	}
}

func TestAgeCountsFromTheLastSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := follow(t, s)
		time.Sleep(10 * time.Minute)
		if age := c.Age(); age > 20*time.Second {
			t.Errorf("a quiet watch is %s old", age)
		}
		s.set(func() { s.refused = 1 << 30; close(s.cut) })
		time.Sleep(time.Hour)
		if age := c.Age(); age < 59*time.Minute {
			t.Errorf("after an hour without auth the copy calls itself %s old", age)
		}
	})
}
