package discovery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// LocalConfig is what a Local is made of. All fields must be set.
type LocalConfig struct {
	Matchers []resource.AWSMatcher
	Interval time.Duration // between looks
	Finder   Finder
	Logger   *slog.Logger
}

// Local looks for databases on behalf of one agent, which serves what is found without registering db
// resources. Safe for concurrent use.
type Local struct {
	cfg  LocalConfig
	news bell.Bell

	mu    sync.Mutex
	found map[lookID]map[string]*resource.Database // by URI; guarded by mu
	named map[string]*resource.Database            // of those, the ones that have their name; guarded by mu
}

// NewLocal returns a Local that has found nothing yet.
func NewLocal(cfg LocalConfig) *Local {
	return &Local{cfg: cfg, found: make(map[lookID]map[string]*resource.Database)}
}

// Databases returns what is known to exist, in no order, each with a name of its own. They are the caller's.
func (l *Local) Databases() []*resource.Database {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*resource.Database
	for _, db := range l.named {
		all = append(all, resource.Clone(db))
	}
	return all
}

// Changed returns a channel that is closed at the next change. Take it before reading.
func (l *Local) Changed() <-chan struct{} {
	return l.news.Changed()
}

// Run looks now and after every interval until the context ends.
func (l *Local) Run(ctx context.Context) {
	ticker := time.NewTicker(l.cfg.Interval)
	defer ticker.Stop()
	looks := appendLooks(nil, "", l.cfg.Matchers)
	for ctx.Err() == nil {
		results := ask(ctx, l.cfg.Finder, looks, func(*result) {})
		if ctx.Err() == nil {
			l.take(results)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// take keeps what was found, and what was found before where a look could not see everything.
func (l *Local) take(results []result) {
	next := make(map[lookID]map[string]*resource.Database)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		id := r.look.id()
		if next[id] == nil {
			next[id] = make(map[string]*resource.Database)
		}
		if r.err != nil {
			l.cfg.Logger.Warn("looking for databases failed; those that are known stay", "type", r.look.Type, "region", r.look.Region, "role", r.look.AssumeRoleARN, "error", fault.Message(r.err))
		}
		if partial, ok := errors.AsType[Partial](r.err); ok {
			r.found = partial.Resolve(r.found, slices.Collect(maps.Values(l.found[id])))
		} else if r.err != nil {
			r.found = nil // whatever it is, it is not all
			for uri, db := range l.found[id] {
				if next[id][uri] == nil {
					next[id][uri] = db
				}
			}
		}
		for _, db := range r.found {
			mark(db, r.look, "")
			next[id][db.Spec.URI] = db
		}
	}
	if maps.EqualFunc(l.found, next, func(a, b map[string]*resource.Database) bool { return maps.EqualFunc(a, b, equal) }) {
		return
	}
	l.found, l.named = next, l.giveNames(results, next)
	l.news.Ring()
	l.cfg.Logger.Info("databases in the cloud were looked for", "found", len(l.named))
}

// giveNames decides between databases that want the same name. The caller holds mu.
func (l *Local) giveNames(results []result, found map[lookID]map[string]*resource.Database) map[string]*resource.Database {
	wanting := make(claims[*resource.Database])
	for _, r := range results {
		of := found[r.look.id()]
		for _, uri := range slices.Sorted(maps.Keys(of)) {
			wanting.add(of[uri].GetName(), uri, of[uri])
		}
	}
	named := make(map[string]*resource.Database, len(wanting))
	for name, all := range wanting {
		holder := ""
		if before := l.named[name]; before != nil {
			holder = before.Spec.URI
		}
		one, _ := best(all, holder)
		named[name] = one.of
		for _, other := range all {
			if other.uri != one.uri {
				l.cfg.Logger.Warn(nameTaken, "db", name, "uri", other.uri)
			}
		}
	}
	return named
}

// equal compares what discovery says of a database.
func equal(a, b *resource.Database) bool {
	one, err := entryOf(a)
	other, otherErr := entryOf(b)
	return err == nil && otherErr == nil && bytes.Equal(one.json, other.json)
}
