package auth

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"sallyport/internal/access"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// databaseAPI implements DatabaseService.
type databaseAPI struct{ *Authority }

// ListDatabases implements the API.
func (a databaseAPI) ListDatabases(ctx context.Context, req *sallyportv1.ListDatabasesRequest) (*sallyportv1.ListDatabasesResponse, error) {
	c := callerOf(ctx)
	as := c.access()
	served, err := a.servedDatabases(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	res := &sallyportv1.ListDatabasesResponse{}
	for _, server := range served {
		db, labels := server.Spec.Database, server.Spec.Database.AllLabels()
		if !access.Visible(as, db, labels) {
			continue
		}
		db = resource.Clone(db)
		db.Metadata.Labels = labels
		db.Spec.AWS.ExternalID = "" // between the agent and AWS
		json, err := resource.Encode(db)
		if err != nil {
			return nil, err
		}
		visible := &sallyportv1.VisibleDatabase{Json: json, Health: server.Status.TargetHealth.ShownStatus()}
		visible.AllowedUsers, visible.DeniedUsers = access.AllowedUsers(as, db, labels)
		visible.AllowedNames, visible.DeniedNames = access.AllowedNames(as, db, labels)
		res.Databases = append(res.Databases, visible)
	}
	return res, nil
}

// servedDatabases returns the databases that agents serve now, one for each name, by name. Its health is that at the agent
// that finds it best, which has no say in what the database is.
func (a *Authority) servedDatabases(ctx context.Context, name string) ([]*resource.DatabaseServer, error) {
	prefix := "/" + resource.KindDatabaseServer + "/"
	if name != "" {
		prefix += name + "/"
	}
	items, err := a.Store.List(ctx, prefix, "", 0)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*resource.DatabaseServer)
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return nil, err
		}
		server := r.(*resource.DatabaseServer)
		switch first := byName[server.GetName()]; {
		case first == nil:
			byName[server.GetName()] = server
		case server.Status.TargetHealth.Rank() < first.Status.TargetHealth.Rank():
			first.Status = server.Status
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *resource.DatabaseServer) int { return cmp.Compare(a.GetName(), b.GetName()) }), nil
}

// visibleDatabase returns a database that the caller may see. One that it may not see does not exist for
// it.
func (a *Authority) visibleDatabase(ctx context.Context, c *caller, name string) (*resource.Database, error) {
	served, err := a.servedDatabases(ctx, name)
	if err != nil {
		return nil, err
	}
	as := c.access()
	for _, server := range served {
		if db := server.Spec.Database; access.Visible(as, db, db.AllLabels()) {
			return db, nil
		}
	}
	return nil, fault.New(fault.NotFound, "database %[1]q was not found; see tsh db ls for those you can use; if it is missing there, ask an administrator to run tctl db check %[1]s, which says whether a Database Service serves it", name)
}
