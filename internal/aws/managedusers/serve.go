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
			k.differing(p, db)
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
		for name := range p.databases {
			if !wanted[key][name] {
				delete(p.databases, name)
			}
		}
	}
}

// differing settles in which store the secrets of a place are: that of the database whose name comes first. All agents do
// alike, so that they meet. The caller holds mu.
func (k *Keeper) differing(p *place, db *resource.Database) {
	const message = "databases with the same users have different secret_store settings; the passwords are kept where the first of them says"
	for name, other := range p.databases {
		if name < db.GetName() && other.target.AWS.SecretStore == p.store {
			if p.trouble != message {
				p.trouble = message
				k.cfg.Logger.Warn(message, "db", db.GetName(), "first", name)
			}
			return
		}
	}
	p.store = db.Spec.AWS.SecretStore
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
