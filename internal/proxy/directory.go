package proxy

import (
	"sync"

	"sallyport/internal/cache"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// directory says which hosts serve the database of a route id. It is made anew only when the cache has
// changed, because a cluster may have ten thousand databases. Safe for concurrent use.
type directory struct {
	cache *cache.Cache

	mu      sync.Mutex
	changed <-chan struct{}      // closed when hosts is out of date; nil before the first use; guarded by mu
	hosts   map[string][]serving // by route id; guarded by mu
	ids     map[string]string    // route ids by name, so that none is hashed twice; guarded by mu
}

// serving is an agent that serves a database.
type serving struct {
	host   string
	health int // how it finds the database, as resource.TargetHealth.Rank has it
}

// hostsOf returns the hosts that have registered the database, also those whose registration has run out
// while auth was away: whether they are there is for the tunnel to say. The caller must not change it.
func (d *directory) hostsOf(id string) []serving {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.changed:
		d.changed = nil
	default:
	}
	if d.changed == nil {
		d.changed = d.cache.Changed()
		d.fill()
	}
	return d.hosts[id]
}

// fill reads the cache. The caller holds mu.
func (d *directory) fill() {
	servers := cache.ListKnown[*resource.DatabaseServer](d.cache, resource.KindDatabaseServer)
	hosts, ids := make(map[string][]serving, len(servers)), make(map[string]string, len(servers))
	for _, server := range servers {
		name := server.GetName()
		id, ok := d.ids[name]
		if !ok {
			id = route.ID(name)
		}
		ids[name] = id
		hosts[id] = append(hosts[id], serving{server.Spec.HostID, server.Status.TargetHealth.Rank()})
	}
	d.hosts, d.ids = hosts, ids
}
