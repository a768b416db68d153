package discovery

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// plan is what is to be changed in the cluster.
type plan struct {
	create []entry // sorted by name
	update []change
	remove []string
}

// change is a database that is registered otherwise.
type change struct {
	entry
	revision string // that it replaces
}

// settle turns what a look found into entries, unless it takes what is registered to know what they are.
func (s *Service) settle(r *result) {
	if r.err == nil {
		s.take(r, r.found)
	}
}

func (s *Service) take(r *result, all []*resource.Database) {
	for _, db := range all {
		mark(db, r.look, s.cfg.Group)
		one, err := entryOf(db)
		if err != nil {
			s.cfg.Logger.Error("database cannot be encoded", "db", db.GetName(), "error", err)
			continue
		}
		r.entries = append(r.entries, one)
	}
	r.found = nil
}

// plan compares what was found with what is registered.
func (s *Service) plan(results []result, known []registered) plan {
	found := make(claims[entry])
	doubt := newDoubt()
	for i := range results {
		r := &results[i]
		doubt.note(r.look.id(), r.err)
		if partial, ok := errors.AsType[Partial](r.err); ok {
			before, err := ofLook(known, r.look.id())
			if err != nil {
				s.cfg.Logger.Error("what is registered cannot be read; databases stay as they are", "type", r.look.Type, "region", r.look.Region, "error", err)
				doubt.all(r.look.id())
				continue
			}
			s.take(r, partial.Resolve(r.found, before))
		} else if r.err != nil {
			doubt.all(r.look.id())
		}
		for _, one := range r.entries {
			found.add(one.name, one.uri, one)
		}
		r.entries = nil
	}
	var p plan
	told := make(map[string]bool)
	for i := range known {
		old := &known[i]
		wanting := found[old.name]
		delete(found, old.name) // what is left is new
		if len(wanting) == 0 {
			if old.owned && !doubt.about(old.look) {
				p.remove = append(p.remove, old.name)
			}
			continue
		}
		one, holds := best(wanting, old.uri)
		switch {
		case !old.free:
			one.uri = "" // nobody gets it
		case !holds && old.owned && doubt.about(old.look):
			one.uri = old.uri
		case !same(one.of, old.entry):
			p.update = append(p.update, change{one.of, old.revision})
		}
		s.passOver(told, old.name, wanting, one.uri)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		one, _ := best(found[name], "")
		s.passOver(told, name, found[name], one.uri)
		p.create = append(p.create, one.of)
	}
	s.told = told
	return p
}

// passOver tells of databases that do not get the name that they want, once for as long as that lasts.
func (s *Service) passOver(told map[string]bool, name string, wanting []claim[entry], getsIt string) {
	for _, one := range wanting {
		if one.uri == getsIt {
			continue
		}
		what := name + " " + one.uri
		if told[what] = true; !s.told[what] {
			s.cfg.Logger.Warn(nameTaken, "db", name, "uri", one.uri)
		}
	}
}

const nameTaken = "a database that was found is passed over: another one has its name, or may have it; give it another by the tag TeleportDatabaseName"

// ofLook returns the databases that a look registered.
func ofLook(known []registered, id lookID) ([]*resource.Database, error) {
	var all []*resource.Database
	for i := range known {
		if !known[i].owned || known[i].look != id {
			continue
		}
		db, err := known[i].database()
		if err != nil {
			return nil, err
		}
		all = append(all, db)
	}
	return all, nil
}

// same reports whether what was found is what is registered, which has been stored and read once more.
func same(found, old entry) bool {
	if bytes.Equal(found.json, old.json) {
		return true
	}
	db, err := found.database()
	if err != nil {
		return false
	}
	again, err := entryOf(db)
	return err == nil && bytes.Equal(again.json, old.json)
}

const (
	callTimeout = 10 * time.Second
	// writesAtOnce is how many writes are on their way: over a wide network, ten thousand after each other take minutes.
	writesAtOnce = 8
)

// apply carries the plan out. What fails is tried again in the next round.
func (s *Service) apply(ctx context.Context, p plan) {
	var failed atomic.Int64
	var writing errgroup.Group
	writing.SetLimit(writesAtOnce)
	try := func(what, name string, call func(context.Context) error) {
		writing.Go(func() error {
			if !s.tried(ctx, what, name, call) {
				failed.Add(1)
			}
			return nil
		})
	}
	for i := range p.create {
		one := &p.create[i]
		try("registered", one.name, func(ctx context.Context) error {
			_, err := s.cfg.Auth.Resources.CreateResource(ctx, &sallyportv1.CreateResourceRequest{Resource: wire(*one)})
			one.json = nil // there may be thousands
			return err
		})
	}
	for _, one := range p.update {
		try("changed", one.name, func(ctx context.Context) error {
			db, err := one.database()
			if err != nil {
				return err
			}
			db.Metadata.Revision = one.revision
			if one.json, err = resource.Encode(db); err != nil {
				return err
			}
			_, err = s.cfg.Auth.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{Resource: wire(one.entry)})
			return err
		})
	}
	for _, name := range p.remove {
		try("removed", name, func(ctx context.Context) error {
			_, err := s.cfg.Auth.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{Kind: resource.KindDatabase, Name: name})
			if fault.Is(err, fault.NotFound) {
				return nil // another service of the group was faster
			}
			return err
		})
	}
	_ = writing.Wait() // none returns an error
	if len(p.create)+len(p.update)+len(p.remove) > 0 {
		s.cfg.Logger.Info("databases in the cloud were reconciled", "new", len(p.create), "changed", len(p.update), "gone", len(p.remove), "failed", failed.Load())
	}
}

func wire(e entry) *sallyportv1.Resource {
	return &sallyportv1.Resource{Kind: resource.KindDatabase, Name: e.name, Json: e.json}
}

// tried makes one call and reports whether it went well.
func (s *Service) tried(ctx context.Context, what, name string, call func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch err := call(ctx); {
	case err == nil:
		return true
	case fault.Is(err, fault.AlreadyExists), fault.Is(err, fault.CompareFailed):
		s.cfg.Logger.Debug("another writer was faster; the next look tells", "db", name, "error", err)
	default:
		s.cfg.Logger.Error("database was not "+what+"; trying again at the next look", "db", name, "error", err)
	}
	return false
}
