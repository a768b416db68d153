// Package health says whether databases can be reached from here: it has them checked at intervals, and keeps what comes of it.
// What a check is, others know.
package health

import (
	"container/heap"
	"context"
	"encoding/json"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// Config is what a Keeper is made of. All fields must be set.
type Config struct {
	// Check looks at a database once. It returns soon after its context has ended. An error with ErrNotMade in it says nothing
	// about the database.
	Check func(ctx context.Context, db *resource.Database) Result
	// Tell is told of what people want to know, once the keeper knows it: of one database in order, of several at a time.
	Tell func(Transition)
	Now  func() time.Time
	// Jitter returns a random duration below d, which is more than 0.
	Jitter func(d time.Duration) time.Duration
}

// Keeper checks databases and keeps their health. Safe for concurrent use.
type Keeper struct {
	cfg  Config
	loop *upkeep.Loop[check]
	bell bell.Bell // of changes, at most once a second

	mu      sync.Mutex
	entries map[string]*entry // by name; guarded by mu
	queue   queue             // of those that wait for a check; guarded by mu
	silent  queue             // as queue, of databases whose last check got no answer; guarded by mu
	waiting int               // checks of those that run; guarded by mu
	counts  map[Count]int64   // of checks that have ended; guarded by mu
	news    bool              // a health has changed since the bell rang; guarded by mu
	told    time.Time         // when the bell rang; guarded by mu
}

// Count is what checks are counted by.
type Count struct {
	Protocol string // of the database
	Result   string // see Results
}

// Results returns what checks end with.
func Results() []string { return []string{passed, failed, notMade} }

const (
	passed  = "passed"
	failed  = "failed"
	notMade = "not_made"
)

// entry is one database. Its fields are guarded by the keeper's mu.
type entry struct {
	db     *resource.Database
	form   string                    // of the database, as far as a check depends on it
	spec   *resource.HealthCheckSpec // nil when no config matches
	state  state
	due    time.Time
	place  int                // in its queue
	silent bool               // the last check ended by its timeout
	end    context.CancelFunc // ends the check that is under way; nil without one
}

const (
	workers = 128
	// silentWorkers are those that databases may have that did not answer: each of their checks takes all of its timeout, and
	// without a bound they would hold up the checks of all others.
	silentWorkers = workers / 2
	// hurry is the longest time between checks while nothing is known, for then there is no status to wait for, and of databases
	// that are coming up.
	hurry = 2 * time.Second
	// comingUp is how long a database may take to come up beside an agent that started with it, and be seen at once then.
	comingUp = time.Minute
	// quiet is the shortest time between two notices of changes: when a network fails, thousands of databases change at once.
	quiet = time.Second
)

// New returns a keeper that checks nothing yet.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, loop: upkeep.NewLoop[check](workers), entries: make(map[string]*entry), counts: make(map[Count]int64)}
}

// Serve says which databases are served from now on, and by which configs they are checked. The databases are shared and must
// not be changed. Of those that are left out, nothing is told any more; their checks are ended. What this alone changes about
// their health is to be read after it: Changed does not tell of it.
func (k *Keeper) Serve(served []*resource.Database, configs []*resource.HealthCheckConfig) {
	rules := rulesOf(configs)
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.loop.Wake()
	kept := make(map[string]bool, len(served))
	for _, db := range served {
		kept[db.GetName()] = true
		k.serve(db, choose(rules, db.AllLabels()))
	}
	for name, e := range k.entries {
		if !kept[name] {
			k.drop(name, e)
		}
	}
}

// serve takes on one database, or what has changed about it. The caller holds mu.
func (k *Keeper) serve(db *resource.Database, spec *resource.HealthCheckSpec) {
	name, now := db.GetName(), k.cfg.Now()
	form := formOf(db)
	e := k.entries[name]
	if e != nil && e.form == form {
		e.db = db
		k.follow(e, spec, now)
		return
	}
	known := ""
	if e != nil { // what people were told of it was told of its name
		known = e.state.known
		k.drop(name, e)
	}
	e = &entry{db: db, form: form, spec: spec, place: nowhere, state: state{known: known}}
	e.state.begin(spec, now)
	k.entries[name] = e
	k.schedule(e, now, hurry)
}

// follow checks a database by another config. The caller holds mu.
func (k *Keeper) follow(e *entry, spec *resource.HealthCheckSpec, now time.Time) {
	before := e.spec
	e.spec = spec
	switch {
	case (before == nil) != (spec == nil):
		k.stop(e)
		e.state.begin(spec, now)
		k.schedule(e, now, hurry)
	case spec != nil && spec.Interval != before.Interval && e.end == nil:
		k.schedule(e, now, spec.Interval.Std())
	}
}

// drop forgets a database. The caller holds mu.
func (k *Keeper) drop(name string, e *entry) {
	k.stop(e)
	delete(k.entries, name)
}

// stop ends the check of a database, and plans none. The caller holds mu.
func (k *Keeper) stop(e *entry) {
	if e.end != nil {
		e.end()
		e.end = nil
	}
	if e.place != nowhere {
		heap.Remove(k.queueOf(e), e.place)
	}
}

// schedule plans the next check at a time within the given one. The caller holds mu.
func (k *Keeper) schedule(e *entry, now time.Time, within time.Duration) {
	if e.spec == nil {
		return
	}
	e.due = now.Add(k.cfg.Jitter(min(within, e.spec.Interval.Std())))
	if e.place == nowhere {
		heap.Push(k.queueOf(e), e)
	} else {
		heap.Fix(k.queueOf(e), e.place)
	}
}

// queueOf returns the queue that a database waits in. The caller holds mu.
func (k *Keeper) queueOf(e *entry) *queue {
	if e.silent {
		return &k.silent
	}
	return &k.queue
}

// Health returns how a database does that is served.
func (k *Keeper) Health(name string) resource.TargetHealth {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entries[name]; e != nil {
		return e.state.health
	}
	return resource.TargetHealth{}
}

// formOf returns the database as far as a check depends on it.
func formOf(db *resource.Database) string {
	spec := db.Spec
	spec.DynamicLabels = nil
	data, err := json.Marshal(spec)
	if err != nil {
		panic("health: encoding a database: " + err.Error()) // plain data always encodes
	}
	return string(data)
}
