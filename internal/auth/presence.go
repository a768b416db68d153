package auth

import (
	"context"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// mayServe refuses that an agent shadows another agent's database. Several agents may serve one name
// when an administrator said so: by writing a db resource of that name and address, or by letting the
// agents join with the same token.
func (a *Authority) mayServe(ctx context.Context, id *identity.Identity, server *resource.DatabaseServer) error {
	name := server.GetName()
	items, err := a.Store.List(ctx, "/"+resource.KindDatabaseServer+"/"+name+"/", "", 0)
	if err != nil {
		return err
	}
	var others []string
	for _, item := range items {
		other, err := a.decode(item)
		if err != nil {
			return err
		}
		if host := other.(*resource.DatabaseServer).Spec.HostID; host != id.Name {
			others = append(others, host)
		}
	}
	if len(others) == 0 {
		return nil
	}
	dynamic := &resource.Database{}
	err = a.load(ctx, resource.KindDatabase, name, dynamic)
	if err == nil && dynamic.Spec.URI == server.Spec.Database.Spec.URI && dynamic.Spec.Protocol == server.Spec.Database.Spec.Protocol {
		return nil
	}
	for _, other := range others {
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

// servesDatabase reports whether the host has a live heartbeat for the database.
func (a *Authority) servesDatabase(ctx context.Context, host, name string) (*resource.DatabaseServer, error) {
	r, err := a.getKey(ctx, "/"+resource.KindDatabaseServer+"/"+name+"/"+host)
	if err != nil {
		return nil, fault.Wrap(fault.AccessDenied, err, "this agent does not serve database %q", name)
	}
	return r.(*resource.DatabaseServer), nil
}
