package auth

import (
	"context"
	"errors"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// mayDiscover refuses what a Discovery Service has no business with: databases that others wrote, and anything
// in a database that gives more than a way to it. Commands of labels would run on agents' hosts.
func (a *Authority) mayDiscover(ctx context.Context, db *resource.Database) error {
	if db.Origin() != resource.OriginCloud || len(db.Spec.DynamicLabels) > 0 || db.Spec.TLS.Mode == resource.TLSInsecure {
		return fault.New(fault.AccessDenied, "discovery registers databases that it found in a cloud and nothing else")
	}
	stored := &resource.Database{}
	err := a.load(ctx, resource.KindDatabase, db.GetName(), stored)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return a.notInAFile(ctx, db.GetName())
	case err != nil:
		return err
	case stored.Origin() != resource.OriginCloud:
		return fault.New(fault.AlreadyExists, "the database %q was written by an administrator and is left alone", db.GetName())
	}
	return nil
}

// notInAFile refuses a name under which an agent serves a database that is written in its file: the db resource would take
// it away, and names of what is found can come from whoever may tag databases.
func (a *Authority) notInAFile(ctx context.Context, name string) error {
	servers, err := a.serversOf(ctx, name)
	if err != nil {
		return err
	}
	for _, server := range servers {
		if server.Spec.Database.Origin() == resource.OriginConfigFile {
			return fault.New(fault.AlreadyExists, "the database %q is written in the file of agent %s and is left alone", name, server.Spec.Hostname)
		}
	}
	return nil
}
