package policy

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// Keeper keeps the policies by which an agent's databases are reached. Safe for concurrent use.
type Keeper struct {
	cfg  Config
	loop *upkeep.Loop[string] // of changes, by the id of the holder
	news bell.Bell            // of statuses

	mu        sync.Mutex
	databases map[string]*database // by name; guarded by mu
	groups    map[string]*group    // of databases, by the id of the holder; guarded by mu
	own       string               // id of the holder that is the agent itself; "" until it is known; guarded by mu
	began     time.Time            // when Run did; guarded by mu
}

// database is what is known of one. Guarded by the keeper's mu.
type database struct {
	need
	absent time.Time // since when it is not served; zero while it is
	status int       // one of resource's IAMPolicy constants
	reason string    // why it failed
}

// group are the databases of one holder. Those of the agent's own identity are in the group "" until that is known. Its
// fields are guarded by the keeper's mu.
type group struct {
	due     time.Time
	delay   time.Duration // after the next failure
	running bool
	changed bool   // since the running change began
	told    string // what was logged last of its failures
}

const (
	workers      = 4
	settle       = time.Second // for databases that come together
	refreshEvery = time.Hour
	firstRetry   = 10 * time.Second
	lastRetry    = 10 * time.Minute
	busyRetry    = 3 * time.Second
	// linger is how long a database is not served before its permissions are taken away: it may be one that waits for
	// its cloud, or that is looked for, and changes of policies take minutes to have an effect.
	linger = 15 * time.Minute
)

// New returns a keeper that has asked for nothing yet.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, loop: upkeep.NewLoop[string](workers), databases: make(map[string]*database), groups: make(map[string]*group)}
}

// Changed returns a channel that is closed when what Serve fills in changes.
func (k *Keeper) Changed() <-chan struct{} { return k.news.Changed() }

// Serve says which databases are served from now on, and fills in how far their permissions are.
func (k *Keeper) Serve(served map[string]*resource.Database) {
	now := k.cfg.Now()
	needs := make(map[string]need)
	for name, db := range served {
		if n, any := needOf(db); any {
			needs[name] = n
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, known := range k.databases {
		if _, needed := needs[name]; !needed && known.absent.IsZero() {
			known.absent = now
			k.schedule(k.groupOf(known.need), now.Add(linger))
		}
	}
	for name, n := range needs {
		known := k.databases[name]
		if known == nil || known.need != n {
			if known != nil && k.groupOf(known.need) != k.groupOf(n) {
				k.schedule(k.groupOf(known.need), now.Add(settle)) // what it needed there was noted, and is taken away
			}
			known = &database{need: n, status: resource.IAMPolicyPending}
			k.databases[name] = known
			k.schedule(k.groupOf(n), now.Add(settle))
		}
		known.absent = time.Time{}
		at := &served[name].Status.AWS
		at.IAMPolicyStatus, at.IAMPolicyReason = known.status, known.reason
	}
}

// groupOf returns the id of a need's group. The caller holds mu.
func (k *Keeper) groupOf(n need) string {
	if n.role == "" {
		return k.own
	}
	return n.holder
}

// schedule has a group changed at the time, or before. The caller holds mu.
func (k *Keeper) schedule(id string, at time.Time) {
	g := k.groups[id]
	if g == nil {
		g = &group{due: at, delay: firstRetry}
		k.groups[id] = g
	}
	if at.Before(g.due) {
		g.due = at
	}
	g.changed = true
	k.loop.Wake()
}

// Run changes policies when that is due, until the context ends. It returns when all changes have ended.
func (k *Keeper) Run(ctx context.Context) {
	k.mu.Lock()
	k.began = k.cfg.Now()
	k.mu.Unlock()
	k.loop.Run(ctx, k.next, k.work)
}

// next returns the groups to be changed now, as far as changes are free, and how long to wait before the next time.
func (k *Keeper) next(free int) (due []string, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	wait = refreshEvery
	for id, g := range k.groups {
		switch {
		case g.running:
		case now.Before(g.due):
			wait = min(wait, g.due.Sub(now))
		case len(due) < free:
			g.running, g.changed = true, false
			due = append(due, id)
		}
	}
	return due, wait
}
