package managedusers

import (
	"context"
	"slices"
	"sync"

	"sallyport/internal/resource"
)

// Serve says which databases are served from now on, and writes into their status which users are managed.
func (k *Keeper) Serve(served map[string]*resource.Database) {
	k.mu.Lock()
	defer k.mu.Unlock()
	gone := make(map[placeKey]bool)
	for key := range k.places {
		gone[key] = true
	}
	wanted := make(map[placeKey]map[string]bool)
	differ := make(map[*place]bool)
	for name, db := range served {
		key, t, ok := placeOf(db)
		if !ok {
			continue
		}
		delete(gone, key)
		p := k.places[key]
		if p == nil {
			p = &place{key: key, store: db.Spec.AWS.SecretStore, databases: make(map[string]*database), users: make(map[string]*user), wake: make(chan struct{}, 1)}
			k.places[key] = p
			k.awake()
		}
		if p.store != db.Spec.AWS.SecretStore {
			differ[p] = k.differs(p, db) || differ[p]
		}
		d := p.databases[name]
		if d == nil {
			d = &database{}
			p.databases[name] = d
			p.looked = false // its users are not known yet
			p.awake()
		}
		d.target = t
		if wanted[key] == nil {
			wanted[key] = make(map[string]bool)
		}
		wanted[key][name] = true
		db.Status.ManagedUsers = p.usersOf(d)
	}
	for key := range gone {
		delete(k.places, key)
		k.awake()
	}
	for key, p := range k.places {
		p.differing = differ[p]
		for name := range p.databases {
			if !wanted[key][name] {
				delete(p.databases, name)
			}
		}
	}
}

// differs settles in which store the secrets of a place are when a database wants another: that of the database whose name
// comes first. All agents do alike, so that they meet. It reports whether that is not this one. The caller holds mu.
func (k *Keeper) differs(p *place, db *resource.Database) bool {
	const message = "databases with the same users have different secret_store settings; the passwords are kept where the first of them says"
	for name, other := range p.databases {
		if name < db.GetName() && other.target.AWS.SecretStore == p.store {
			if !p.differing {
				k.cfg.Logger.Warn(message, "db", db.GetName(), "first", name)
			}
			return true
		}
	}
	p.store = db.Spec.AWS.SecretStore
	return false
}

// usersOf returns the names of the managed users of a database. The caller holds the keeper's mu.
func (p *place) usersOf(d *database) (names resource.Strings) {
	for _, u := range p.users {
		if u.In(d.groups) {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (k *Keeper) awake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run keeps the passwords until the context ends. Each place has its own worker, so that none holds up another.
func (k *Keeper) Run(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	running := make(map[*place]context.CancelFunc)
	for {
		k.mu.Lock()
		current := make(map[*place]bool, len(k.places))
		for _, p := range k.places {
			current[p] = true
			if running[p] == nil {
				placeCtx, stop := context.WithCancel(ctx)
				running[p] = stop
				working.Go(func() { k.work(placeCtx, p) })
			}
		}
		k.mu.Unlock()
		for p, stop := range running {
			if !current[p] {
				stop()
				delete(running, p)
			}
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return
		}
	}
}
