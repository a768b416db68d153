// Package describe keeps what clouds say of the databases that an agent serves. Asking takes its time and may fail, and
// neither holds up other databases.
package describe

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// Describer asks a cloud about one database.
type Describer interface {
	// Describe returns a copy of the database with what its cloud says: its status, labels and the name in its
	// certificate. CompareFailed means that it must not be served.
	Describe(ctx context.Context, db *resource.Database) (*resource.Database, error)
}

// Config is what a Keeper is made of. All fields must be set.
type Config struct {
	Describer Describer
	Logger    *slog.Logger
	Now       func() time.Time
}

// Keeper keeps descriptions. Safe for concurrent use.
type Keeper struct {
	cfg  Config
	loop *upkeep.Loop[*entry] // of questions
	news bell.Bell            // of answers

	mu      sync.Mutex
	entries map[string]*entry // by name; guarded by mu
}

// entry is what is known of one database. Guarded by the keeper's mu.
type entry struct {
	db      *resource.Database // as it is asked about
	json    string
	found   *resource.Database // the last good answer, or nil
	refused error              // why it must not be served, or nil
	failed  error              // the last failure to get an answer, or nil
	asked   bool               // at least once, with whatever result
	running bool
	due     time.Time
	delay   time.Duration // after the next failure
	waited  time.Time     // until when a first answer is waited for
}

const (
	workers = 8
	// patience is how long a database waits for the first answer. After that it is served without, for there are
	// networks from which databases can be reached and the API cannot; discovered ones always wait.
	patience     = 10 * time.Second
	refreshEvery = time.Hour
	firstRetry   = 5 * time.Second
	lastRetry    = 5 * time.Minute
)

// New returns a keeper that asks nothing yet.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, loop: upkeep.NewLoop[*entry](workers), entries: make(map[string]*entry)}
}

// Changed returns a channel that is closed when an answer changes.
func (k *Keeper) Changed() <-chan struct{} { return k.news.Changed() }

// Serve says which databases are wanted from now on. It fills in what is known of them, and takes out those that are not
// to be served yet, or at all.
func (k *Keeper) Serve(wanted map[string]*resource.Database) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.entries {
		if db := wanted[name]; db == nil || !db.InAWS() {
			delete(k.entries, name)
		}
	}
	added := false
	for name, db := range wanted {
		if !db.InAWS() {
			continue
		}
		e, isNew := k.entry(name, db)
		added = added || isNew
		if !e.serves(k.cfg.Now()) {
			delete(wanted, name)
			continue
		}
		if e.found != nil {
			db.Status, db.Metadata.Labels, db.Spec.TLS.ServerName = e.found.Status, maps.Clone(e.found.Metadata.Labels), e.found.Spec.TLS.ServerName
		}
	}
	if added {
		k.loop.Wake()
	}
}

// entry returns the entry of a database as it is written now. The caller holds mu.
func (k *Keeper) entry(name string, db *resource.Database) (e *entry, isNew bool) {
	data, err := resource.Encode(db)
	if e = k.entries[name]; e != nil && err == nil && e.json == string(data) {
		return e, false
	}
	now := k.cfg.Now()
	e = &entry{db: resource.Clone(db), json: string(data), due: now, delay: firstRetry, waited: now.Add(patience)}
	k.entries[name] = e
	return e, true
}

// serves reports whether the database may be served with what is known.
func (e *entry) serves(now time.Time) bool {
	switch {
	case e.refused != nil:
		return false
	case e.found != nil:
		return true
	case e.db.Origin() == resource.OriginCloud:
		return false // its address must have been compared first
	default:
		return e.asked || !now.Before(e.waited)
	}
}

// Run asks about databases when that is due, until the context ends. It returns when all questions have ended.
func (k *Keeper) Run(ctx context.Context) { k.loop.Run(ctx, k.next, k.ask) }

// next returns what is to be asked now, as far as questions are free, and how long to wait before the next time. It also
// tells the agent of databases that have waited long enough.
func (k *Keeper) next(free int) (due []*entry, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	until := now.Add(refreshEvery)
	sooner := func(at time.Time) {
		if at.Before(until) {
			until = at
		}
	}
	for _, e := range k.entries {
		switch {
		case e.running:
		case !now.Before(e.due):
			if len(due) < free {
				e.running = true
				due = append(due, e)
			}
		default:
			sooner(e.due)
		}
		if !e.asked && !e.waited.IsZero() {
			if now.Before(e.waited) {
				sooner(e.waited)
			} else {
				e.waited = time.Time{} // told once; the zero time is long ago
				k.news.Ring()
			}
		}
	}
	return due, until.Sub(now)
}

func (k *Keeper) ask(ctx context.Context, e *entry) {
	found, err := k.cfg.Describer.Describe(ctx, e.db)
	k.mu.Lock()
	defer k.mu.Unlock()
	e.running = false
	if ctx.Err() != nil {
		return
	}
	now := k.cfg.Now()
	e.asked = true
	if err != nil {
		k.failed(e, err)
		e.due = now.Add(upkeep.Jitter(e.delay))
		e.delay = min(2*e.delay, lastRetry)
		k.news.Ring()
		return
	}
	if e.failed != nil {
		k.cfg.Logger.Info("cloud answers about database again", "db", e.db.GetName())
	}
	e.found, e.refused, e.failed, e.delay = found, nil, nil, firstRetry
	e.due = now.Add(upkeep.Jitter(refreshEvery))
	k.news.Ring()
}

// failed notes and logs a failure; the same one only once. The caller holds mu.
func (k *Keeper) failed(e *entry, err error) {
	again := e.failed != nil && e.failed.Error() == err.Error()
	e.failed = err
	if fault.Is(err, fault.CompareFailed) {
		e.refused, e.found = err, nil
	}
	switch name := e.db.GetName(); {
	case again:
	case e.refused != nil:
		k.cfg.Logger.Error("database is not served", "db", name, "reason", fault.Message(err), "error", err)
	case e.db.Origin() == resource.OriginCloud && e.found == nil:
		k.cfg.Logger.Error("discovered database is not served yet, because its cloud does not answer", "db", name, "reason", fault.Message(err), "error", err)
	default:
		k.cfg.Logger.Warn("cloud does not answer about database; it is served with what is known", "db", name, "reason", fault.Message(err), "error", err)
	}
}
