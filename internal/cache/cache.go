// Package cache keeps a live copy of resources at a member of the cluster. While the auth server is away
// the copy stays as it was last, and says how old it is.
package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/bell"
	"sallyport/internal/resource"
)

// Watcher is the part of the API that a cache needs.
type Watcher interface {
	WatchResources(context.Context, *sallyportv1.WatchResourcesRequest) (*connect.ServerStreamForClient[sallyportv1.WatchResourcesResponse], error)
}

// Cache is a copy of all resources of some kinds. Safe for concurrent use; what it hands out is shared
// and must not be changed.
type Cache struct {
	api    Watcher
	kinds  []string
	logger *slog.Logger
	now    func() time.Time
	news   bell.Bell

	mu     sync.RWMutex
	items  map[string]map[string]resource.Resource // by kind and wire name; guarded by mu
	fresh  time.Time                               // when the copy was last known to be current; guarded by mu
	synced chan struct{}                           // closed when the first copy is whole
	once   sync.Once
}

// New returns an empty cache of the kinds.
func New(api Watcher, kinds []string, now func() time.Time, logger *slog.Logger) *Cache {
	return &Cache{
		api: api, kinds: kinds, logger: logger, now: now,
		items: make(map[string]map[string]resource.Resource), synced: make(chan struct{}),
	}
}

// Run keeps the copy current until the context ends.
func (c *Cache) Run(ctx context.Context) error {
	for wait := time.Duration(0); ; {
		began := c.now()
		err := c.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if c.now().Sub(began) > 30*time.Second {
			wait = 0
		}
		wait = min(max(2*wait, 100*time.Millisecond), 10*time.Second)
		c.logger.Warn("watch of the auth server ended; trying again", "error", err, "wait", wait.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

// watch follows one stream. The first part of a stream is everything that is stored, which replaces the
// copy as a whole when it has come.
func (c *Cache) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.WatchResources(ctx, &sallyportv1.WatchResourcesRequest{Kinds: c.kinds})
	if err != nil {
		return err
	}
	defer stream.Close()
	// A stream that shows no sign of life is dead, whatever TCP thinks.
	silence := time.AfterFunc(silenceLimit, cancel)
	defer silence.Stop()
	whole := make(map[string]map[string]resource.Resource)
	for stream.Receive() {
		silence.Reset(silenceLimit)
		msg := stream.Msg()
		switch msg.GetChange() {
		case sallyportv1.WatchResourcesResponse_CHANGE_PUT, sallyportv1.WatchResourcesResponse_CHANGE_DELETE:
			if whole != nil {
				if err := apply(whole, msg); err != nil {
					return err
				}
				continue
			}
			if err := c.change(msg); err != nil {
				return err
			}
		case sallyportv1.WatchResourcesResponse_CHANGE_SYNCED:
			c.replace(whole)
			whole = nil
		case sallyportv1.WatchResourcesResponse_CHANGE_ALIVE:
			c.mu.Lock()
			c.fresh = c.now()
			c.mu.Unlock()
		}
	}
	return stream.Err()
}

const silenceLimit = 45 * time.Second

func apply(items map[string]map[string]resource.Resource, msg *sallyportv1.WatchResourcesResponse) error {
	wire := msg.GetResource()
	if msg.GetChange() == sallyportv1.WatchResourcesResponse_CHANGE_DELETE {
		delete(items[wire.GetKind()], wire.GetName())
		return nil
	}
	r, err := resource.Decode(wire.GetKind(), wire.GetJson())
	if err != nil {
		return err
	}
	if items[wire.GetKind()] == nil {
		items[wire.GetKind()] = make(map[string]resource.Resource)
	}
	items[wire.GetKind()][wire.GetName()] = r
	return nil
}

func (c *Cache) change(msg *sallyportv1.WatchResourcesResponse) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := apply(c.items, msg); err != nil {
		return err
	}
	c.notify()
	return nil
}

func (c *Cache) replace(whole map[string]map[string]resource.Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = whole
	c.notify()
	c.once.Do(func() { close(c.synced) })
}

// notify wakes those who wait for a change. The caller holds mu.
func (c *Cache) notify() {
	c.fresh = c.now()
	c.news.Ring()
}

// WaitSynced waits until the first copy is whole.
func (c *Cache) WaitSynced(ctx context.Context) error {
	select {
	case <-c.synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Changed returns a channel that is closed at the next change. Take it before reading.
func (c *Cache) Changed() <-chan struct{} {
	return c.news.Changed()
}

// Age returns how long ago the copy was last known to be current.
func (c *Cache) Age() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.now().Sub(c.fresh)
}

// List returns all resources of a kind in their concrete type, in no order. Expired ones are left out
// even when the auth server cannot say so.
func List[R resource.Resource](c *Cache, kind string) []R {
	return slices.DeleteFunc(ListKnown[R](c, kind), func(r R) bool { return c.expired(r) })
}

// ListKnown is List with the resources that have expired and that the auth server, which may be away, has
// not called gone.
func ListKnown[R resource.Resource](c *Cache, kind string) []R {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]R, 0, len(c.items[kind]))
	for _, r := range c.items[kind] {
		if typed, ok := r.(R); ok {
			all = append(all, typed)
		}
	}
	return all
}

// Get returns one resource by its wire name. One that has expired is not there, as with List.
func Get[R resource.Resource](c *Cache, kind, name string) (R, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	typed, ok := c.items[kind][name].(R)
	if ok && c.expired(typed) {
		var none R
		return none, false
	}
	return typed, ok
}

func (c *Cache) expired(r resource.Resource) bool {
	expires := r.Meta().Expires
	return expires != nil && c.now().After(*expires)
}
