package agent

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// databases are those that the agent serves now.
type databases struct {
	labels *labelRunner

	mu      sync.RWMutex
	byRoute map[string]*resource.Database // registered ones, by route id; guarded by mu
	known   map[string]string             // what was last registered, in the form of formOf, by name; guarded by mu
	due     time.Time                     // of the next heartbeat of all; owned by followDatabases
	told    map[string]string             // what was logged about a database, once, by name; owned by followDatabases
}

// byID returns the database of a route id, with its labels as they are now.
func (d *databases) byID(id string) (*resource.Database, bool) {
	d.mu.RLock()
	db, ok := d.byRoute[id]
	d.mu.RUnlock()
	return db, ok
}

// followDatabases registers what the agent serves, at once when that changes and again before the
// registration runs out, until the context ends.
func (a *Agent) followDatabases(ctx context.Context) {
	for ctx.Err() == nil {
		changed := a.Cache.Changed()
		labels, healths, twin := a.databases.labels.news.Changed(), a.health.Changed(), a.twin.bell.Changed()
		var described, permitted, managed, found <-chan struct{}
		if a.clouds != nil {
			described = a.clouds.Changed()
		}
		if a.Permissions != nil {
			permitted = a.Permissions.Changed()
		}
		if a.Accounts != nil {
			managed = a.Accounts.Changed()
		}
		if a.Found != nil {
			found = a.Found.Changed()
		}
		wait := a.register(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-labels:
		case <-healths:
		case <-twin:
		case <-described:
		case <-permitted:
		case <-managed:
		case <-found:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// wanted returns the databases that the agent should serve: static ones, and dynamic ones that its
// selectors match. A static one wins over a dynamic one of the same name, and both over one that was found. Left out are those that wait for
// their cloud's answer, and those with a dynamic label that has no value yet: a rule that denies by it could
// not match.
func (a *Agent) wanted() map[string]*resource.Database {
	wanted, notes := make(map[string]*resource.Database), make(map[string]string)
	for _, db := range cache.List[*resource.Database](a.Cache, resource.KindDatabase) {
		selector, ok := a.matching(db)
		if !ok {
			continue
		}
		db = resource.Clone(db)
		if selector.AWS.AssumeRoleARN != "" {
			db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = selector.AWS.AssumeRoleARN, selector.AWS.ExternalID
		}
		if len(db.Spec.DynamicLabels) > 0 && !a.RunDynamicCommands {
			db.Spec.DynamicLabels = nil
			notes[db.GetName()] = "its dynamic labels are left out: commands of databases written with tctl run on this host only with db_service.allow_dynamic_label_commands: yes"
		}
		wanted[db.GetName()] = db
	}
	if a.Found != nil {
		for _, db := range a.Found.Databases() {
			name := db.GetName()
			if wanted[name] != nil { // whoever may tag databases does not take a name that is written
				notes[name] = "it is served as the db resource says; the database that was found under its name is passed over: " + db.Spec.URI
				continue
			}
			wanted[name] = db
		}
	}
	for _, db := range a.Static {
		wanted[db.GetName()] = resource.Clone(db)
		delete(notes, db.GetName())
	}
	if a.clouds != nil {
		a.clouds.Serve(wanted)
	}
	for _, upkeep := range a.upkeeps() {
		upkeep.Serve(wanted)
	}
	a.databases.labels.watch(wanted)
	for name, db := range wanted {
		var complete bool
		db.Metadata.Revision = ""
		if db.Spec.DynamicLabels, complete = a.databases.labels.results(db); !complete {
			delete(wanted, name)
			continue
		}
		if _, ok := a.Engines[db.Spec.Protocol]; !ok {
			notes[name] = "it is listed and cannot be used: it speaks " + db.Spec.Protocol + ", which this version cannot serve"
		}
	}
	a.tell(notes)
	return wanted
}

// tell logs what is to be known about databases, each once until it changes.
func (a *Agent) tell(notes map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		if a.databases.told[name] != notes[name] {
			a.Logger.Warn("database is not served as it is written", "db", name, "reason", notes[name])
		}
	}
	a.databases.told = notes
}

// matching returns the first selector that matches a dynamic database.
func (a *Agent) matching(db *resource.Database) (resource.ResourceSelector, bool) {
	for _, selector := range a.Selectors {
		if access.MatchLabels(selector.Labels, db.AllLabels()) {
			return selector, true
		}
	}
	return resource.ResourceSelector{}, false
}

// register tells the auth server what is served and takes into service what it accepted. It returns how
// long to wait before the next time.
func (a *Agent) register(ctx context.Context) time.Duration {
	d := &a.databases
	now := a.Now()
	all := a.twin.takeNews() || !now.Before(d.due)
	if all {
		d.due = now.Add(a.heartbeatEvery(now))
	}
	wanted := a.wanted()
	a.health.Serve(slices.Collect(maps.Values(wanted)), a.healthChecks())
	accepted := make(map[string]*resource.Database)
	known := make(map[string]string)
	failed := false
	var away error // of the auth server, which is not asked again for each of many databases
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		db := wanted[name]
		health := a.health.Health(name)
		form, err := formOf(db, health)
		changed := d.lastKnown(name) != form
		if err == nil && (all || changed) {
			if err = away; err == nil {
				if err = a.putServer(ctx, db, health); fault.Is(err, fault.ConnectionProblem) {
					away = err
				}
			}
		}
		if changed {
			for _, warning := range resource.Warnings(db) {
				if warning.Path == "spec.protocol" {
					continue // told already, by the engines that there are
				}
				a.Logger.Warn("database may not work as it is written", "db", name, "key", warning.Path, "reason", warning.Message)
			}
		}
		switch {
		case err == nil:
			known[name] = form
		case !rejected(err) && d.lastKnown(name) != "":
			known[name] = d.lastKnown(name) // the auth server is away or in trouble; what was registered goes on
			failed = true
			a.Logger.Warn("registration of a database was not renewed; trying again", "db", name, "error", err)
		default:
			failed = true
			a.Logger.Error("database cannot be served", "db", name, "error", err)
			continue
		}
		served := *db
		served.Metadata.Labels = db.AllLabels() // what rules and users see
		accepted[route.ID(name)] = &served
	}
	if len(accepted) < len(wanted) {
		a.health.Serve(slices.Collect(maps.Values(accepted)), a.healthChecks())
	}
	gone := d.replace(accepted, known)
	select {
	case a.registered <- struct{}{}:
	default:
	}
	for _, name := range gone {
		a.removeServer(ctx, name)
	}
	a.listener.refresh(ctx, a, slices.Sorted(maps.Keys(known)))
	if all {
		failed = !a.announce(ctx) || failed
	}
	if failed {
		d.due = now.Add(retryAfter)
	}
	return max(d.due.Sub(a.Now()), 100*time.Millisecond)
}

// formOf returns what is registered of a database, to be compared.
func formOf(db *resource.Database, health resource.TargetHealth) (string, error) {
	text, err := resource.Encode(db)
	if err != nil {
		return "", err
	}
	status, err := json.Marshal(health)
	return string(text) + "\n" + string(status), err
}

// rejected reports whether the auth server has said no, and trying again would not help.
func rejected(err error) bool {
	switch fault.KindOf(err) {
	case fault.AccessDenied, fault.BadParameter, fault.AlreadyExists:
		return true
	default:
		return false
	}
}

func (d *databases) lastKnown(name string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.known[name]
}

// replace takes the databases into service and returns the names of those that are no longer served.
func (d *databases) replace(accepted map[string]*resource.Database, known map[string]string) (gone []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.known {
		if _, ok := known[name]; !ok {
			gone = append(gone, name)
		}
	}
	d.byRoute, d.known = accepted, known
	return gone
}
