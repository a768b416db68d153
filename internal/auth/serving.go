package auth

import (
	"context"
	"errors"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// mayServe refuses that an agent shadows a database. Where an administrator wrote a db resource of the name,
// that says what is served under it, to any number of agents. Otherwise several agents may serve one name when
// an administrator let them join with the same token, and what was found yields to what is written.
func (a *Authority) mayServe(ctx context.Context, id *identity.Identity, server *resource.DatabaseServer) error {
	name := server.GetName()
	dynamic := &resource.Database{}
	err := a.load(ctx, resource.KindDatabase, name, dynamic)
	if err == nil {
		return sameDatabase(dynamic, server.Spec.Database)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	items, err := a.Store.List(ctx, "/"+resource.KindDatabaseServer+"/"+name+"/", "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return err
		}
		already := r.(*resource.DatabaseServer).Spec
		other := already.HostID
		if other == id.Name {
			continue
		}
		if server.Spec.Database.Origin() == resource.OriginCloud && already.Database.Origin() == resource.OriginConfigFile {
			return fault.New(fault.AccessDenied, "database %q is written in the file of agent %s; what was found in a cloud under its name is not served", name, already.Hostname)
		}
		joined, err := a.hostRecord(ctx, other)
		if err != nil {
			return err
		}
		if joined.Token == "" || joined.Token != id.JoinToken {
			return fault.New(fault.AccessDenied, "database %q is already served by another agent; give both agents the same join token, or create a db resource of that name", name)
		}
	}
	return nil
}

// sameDatabase refuses a database that differs from the db resource of its name in where it is or in the
// labels by which roles select it.
func sameDatabase(written, served *resource.Database) error {
	what := written.Difference(served)
	if what == "" {
		return nil
	}
	return fault.New(fault.AccessDenied, "database %q differs from the db resource of that name in its %s; change one of them, or remove the resource with tctl rm db/%s", served.GetName(), what, served.GetName())
}

// servesDatabase reports whether the host has a live heartbeat for the database. That it has none is the host's matter, and no denial to a user.
func (a *Authority) servesDatabase(ctx context.Context, host, name string) (*resource.DatabaseServer, error) {
	r, err := a.getKey(ctx, "/"+resource.KindDatabaseServer+"/"+name+"/"+host)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "this agent does not serve database %q", name)
	}
	if err != nil {
		return nil, err
	}
	return r.(*resource.DatabaseServer), nil
}
