package discovery

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// plan is what is to be changed in the cluster.
type plan struct {
	create, update []*resource.Database // sorted by name
	remove         []string             // sorted
}

// plan compares what was found with what the service's group has registered.
func (s *Service) plan(results []result) plan {
	found := make(map[string]*resource.Database)
	unsure := make(map[lookID]bool)
	known := s.known()
	for _, r := range results {
		if partial, ok := errors.AsType[Partial](r.err); ok {
			r.found = partial.Resolve(r.found, known[r.look.id()])
		} else if r.err != nil {
			unsure[r.look.id()] = true
			continue
		}
		for _, db := range r.found {
			mark(db, r.look, s.cfg.Group)
			if _, taken := found[db.GetName()]; !taken { // the first look that finds a database has it
				found[db.GetName()] = db
			}
		}
	}
	var p plan
	registered := make(map[string]*resource.Database)
	for _, db := range cache.List[*resource.Database](s.cfg.Cache, resource.KindDatabase) {
		registered[db.GetName()] = db
		if _, still := found[db.GetName()]; !still && s.owns(db) && !unsure[lookOf(db)] {
			p.remove = append(p.remove, db.GetName())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		db, old := found[name], registered[name]
		switch {
		case old == nil:
			p.create = append(p.create, db)
		case !s.mayTake(old):
			s.cfg.Logger.Warn("a database that was found is not registered: its name is taken; rename one of the two", "db", name, "origin", old.Origin(), "group", old.Metadata.Labels[resource.LabelDiscoveryGroup])
		case !equal(db, old):
			db.Metadata.Revision = old.Metadata.Revision
			p.update = append(p.update, db)
		}
	}
	slices.Sort(p.remove)
	return p
}

// known returns the registered databases of the group, by the look that registered them.
func (s *Service) known() map[lookID][]*resource.Database {
	known := make(map[lookID][]*resource.Database)
	for _, db := range cache.List[*resource.Database](s.cfg.Cache, resource.KindDatabase) {
		if s.owns(db) {
			known[lookOf(db)] = append(known[lookOf(db)], db)
		}
	}
	return known
}

// mark says in a database's labels who found it, and how.
func mark(db *resource.Database, look Look, group string) {
	labels := db.Metadata.Labels
	if labels == nil {
		labels = make(map[string]string)
		db.Metadata.Labels = labels
	}
	labels[resource.LabelOrigin] = resource.OriginCloud
	labels[resource.LabelDiscoveryType] = look.Type
	for key, value := range map[string]string{resource.LabelDiscoveryGroup: group, resource.LabelDiscoveryConfig: look.Config} {
		if delete(labels, key); value != "" {
			labels[key] = value
		}
	}
}

// owns reports whether a registered database is one of this service's group, to be removed when it is gone.
func (s *Service) owns(db *resource.Database) bool {
	return db.Origin() == resource.OriginCloud && db.Metadata.Labels[resource.LabelDiscoveryGroup] == s.cfg.Group
}

// mayTake reports whether a registered database may be replaced by one that was found: the group's own, and
// those that discovery registered without a group.
func (s *Service) mayTake(db *resource.Database) bool {
	return s.owns(db) || db.Origin() == resource.OriginCloud && db.Metadata.Labels[resource.LabelDiscoveryGroup] == ""
}

// lookOf returns which look registered a database.
func lookOf(db *resource.Database) lookID {
	labels := db.Metadata.Labels
	return lookID{labels[resource.LabelDiscoveryConfig], labels[resource.LabelDiscoveryType], db.Spec.AWS.Region, db.Spec.AWS.AssumeRoleARN}
}

// equal compares what discovery writes: not the revision, and not what agents found out.
func equal(a, b *resource.Database) bool {
	one, other := stripped(a), stripped(b)
	return one != nil && bytes.Equal(one, other)
}

func stripped(db *resource.Database) []byte {
	c := resource.Clone(db)
	c.Metadata.Revision, c.Status = "", resource.DatabaseStatus{}
	text, err := resource.Encode(c)
	if err != nil {
		return nil
	}
	return text
}

const callTimeout = 10 * time.Second

// apply carries the plan out. What fails is tried again in the next round.
func (s *Service) apply(ctx context.Context, p plan) {
	failed := 0
	for _, db := range p.create {
		failed += s.tried(ctx, "registered", db.GetName(), func(ctx context.Context, wire *sallyportv1.Resource) error {
			_, err := s.cfg.Auth.Resources.CreateResource(ctx, &sallyportv1.CreateResourceRequest{Resource: wire})
			return err
		}, db)
	}
	for _, db := range p.update {
		failed += s.tried(ctx, "changed", db.GetName(), func(ctx context.Context, wire *sallyportv1.Resource) error {
			_, err := s.cfg.Auth.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{Resource: wire})
			return err
		}, db)
	}
	for _, name := range p.remove {
		failed += s.tried(ctx, "removed", name, func(ctx context.Context, _ *sallyportv1.Resource) error {
			_, err := s.cfg.Auth.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{Kind: resource.KindDatabase, Name: name})
			if fault.Is(err, fault.NotFound) {
				return nil // another service of the group was faster
			}
			return err
		}, nil)
	}
	if len(p.create)+len(p.update)+len(p.remove) > 0 {
		s.cfg.Logger.Info("databases in the cloud were reconciled", "new", len(p.create), "changed", len(p.update), "gone", len(p.remove), "failed", failed)
	}
}

// tried makes one call and returns how many failed: 0 or 1.
func (s *Service) tried(ctx context.Context, what, name string, call func(context.Context, *sallyportv1.Resource) error, db *resource.Database) int {
	wire := &sallyportv1.Resource{Kind: resource.KindDatabase, Name: name}
	if db != nil {
		text, err := resource.Encode(db)
		if err != nil {
			s.cfg.Logger.Error("database cannot be encoded", "db", name, "error", err)
			return 1
		}
		wire.Json = text
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch err := call(ctx, wire); {
	case err == nil:
		return 0
	case fault.Is(err, fault.AlreadyExists), fault.Is(err, fault.CompareFailed):
		s.cfg.Logger.Debug("another writer was faster; the next look tells", "db", name, "error", err)
	default:
		s.cfg.Logger.Error("database was not "+what+"; trying again at the next look", "db", name, "error", err)
	}
	return 1
}
