package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

const (
	heartbeatLife  = 10 * time.Minute
	heartbeatEvery = 4 * time.Minute
	retryAfter     = 5 * time.Second
)

// databases are those that the agent serves now.
type databases struct {
	labels *labelRunner

	mu      sync.RWMutex
	byRoute map[string]*resource.Database // registered ones, by route id; guarded by mu
	known   map[string]string             // what was last registered, as JSON, by name; guarded by mu
	due     time.Time                     // of the next heartbeat of all; owned by followDatabases
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
		labels := a.databases.labels.changed()
		var described <-chan struct{}
		if a.clouds != nil {
			described = a.clouds.Changed()
		}
		wait := a.register(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-labels:
		case <-described:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// wanted returns the databases that the agent should serve: static ones, and dynamic ones that its
// selectors match. A static one wins over a dynamic one of the same name. Those that wait for their cloud's answer are
// left out.
func (a *Agent) wanted() map[string]*resource.Database {
	wanted := make(map[string]*resource.Database)
	for _, db := range cache.List[*resource.Database](a.Cache, resource.KindDatabase) {
		selector, ok := a.matching(db)
		if !ok {
			continue
		}
		db = resource.Clone(db)
		if selector.AWS.AssumeRoleARN != "" {
			db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = selector.AWS.AssumeRoleARN, selector.AWS.ExternalID
		}
		wanted[db.GetName()] = db
	}
	for _, db := range a.Static {
		wanted[db.GetName()] = resource.Clone(db)
	}
	if a.clouds != nil {
		a.clouds.Serve(wanted)
	}
	a.databases.labels.watch(wanted)
	for _, db := range wanted {
		db.Spec.DynamicLabels = a.databases.labels.results(db)
		db.Metadata.Revision = ""
	}
	return wanted
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
	all := !now.Before(d.due)
	if all {
		d.due = now.Add(heartbeatEvery)
	}
	wanted := a.wanted()
	accepted := make(map[string]*resource.Database)
	known := make(map[string]string)
	failed := false
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		db := wanted[name]
		json, err := resource.Encode(db)
		changed := d.lastKnown(name) != string(json)
		if err == nil && (all || changed) {
			err = a.putServer(ctx, db)
		}
		if changed {
			for _, warning := range db.Warnings() {
				a.Logger.Warn("database may not work as it is written", "db", name, "key", warning.Path, "reason", warning.Message)
			}
		}
		switch {
		case err == nil:
			known[name] = string(json)
		case fault.Is(err, fault.ConnectionProblem) && d.lastKnown(name) != "":
			known[name] = d.lastKnown(name) // the auth server is away; what was registered goes on
			failed = true
		default:
			failed = true
			a.Logger.Error("database cannot be served", "db", name, "error", err)
			continue
		}
		db.Metadata.Labels = db.AllLabels() // what rules and users see
		accepted[route.ID(name)] = db
	}
	gone := d.replace(accepted, known)
	for _, name := range gone {
		a.removeServer(ctx, name)
	}
	a.listener.refresh(ctx, a, slices.Sorted(maps.Keys(known)))
	if failed {
		d.due = now.Add(retryAfter)
	}
	return max(time.Until(d.due), 100*time.Millisecond)
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

func (a *Agent) putServer(ctx context.Context, db *resource.Database) error {
	r, err := resource.New(resource.KindDatabaseServer)
	if err != nil {
		return err
	}
	server := r.(*resource.DatabaseServer)
	expires := a.Now().Add(heartbeatLife).UTC()
	server.Metadata.Name, server.Metadata.Expires = db.GetName(), &expires
	server.Spec = resource.DatabaseServerSpec{Version: a.Version, Hostname: a.Hostname, HostID: a.HostID, Database: db}
	json, err := resource.Encode(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = a.Auth.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{
		Resource: &sallyportv1.Resource{Kind: resource.KindDatabaseServer, Name: db.GetName(), Json: json},
	})
	return err
}

func (a *Agent) removeServer(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := a.Auth.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{
		Kind: resource.KindDatabaseServer, Name: name + "/" + a.HostID,
	})
	if err != nil && !fault.Is(err, fault.NotFound) && !errors.Is(err, context.Canceled) {
		a.Logger.Warn("database could not be unregistered; its registration runs out by itself", "db", name, "error", err)
	}
}

// deregister says goodbye.
func (a *Agent) deregister(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a.databases.mu.RLock()
	names := slices.Collect(maps.Keys(a.databases.known))
	a.databases.mu.RUnlock()
	for _, name := range names {
		if ctx.Err() == nil && strings.TrimSpace(name) != "" {
			a.removeServer(ctx, name)
		}
	}
}
