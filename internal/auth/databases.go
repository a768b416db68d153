package auth

import (
	"context"
	"maps"
	"sort"

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
	for _, db := range served {
		labels := db.AllLabels()
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
		visible := &sallyportv1.VisibleDatabase{Json: json}
		visible.AllowedUsers, visible.DeniedUsers = access.AllowedUsers(as, db, labels)
		visible.AllowedNames, visible.DeniedNames = access.AllowedNames(as, db, labels)
		res.Databases = append(res.Databases, visible)
	}
	return res, nil
}

// servedDatabases returns the databases that agents serve now, one for each name, by name.
func (a *Authority) servedDatabases(ctx context.Context, name string) ([]*resource.Database, error) {
	prefix := "/" + resource.KindDatabaseServer + "/"
	if name != "" {
		prefix += name + "/"
	}
	items, err := a.Store.List(ctx, prefix, "", 0)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*resource.Database)
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return nil, err
		}
		db := r.(*resource.DatabaseServer).Spec.Database
		if byName[db.GetName()] == nil {
			byName[db.GetName()] = db
		}
	}
	served := make([]*resource.Database, 0, len(byName))
	for db := range maps.Values(byName) {
		served = append(served, db)
	}
	sort.Slice(served, func(i, j int) bool { return served[i].GetName() < served[j].GetName() })
	return served, nil
}

// visibleDatabase returns a database that the caller may see. One that it may not see does not exist for
// it.
func (a *Authority) visibleDatabase(ctx context.Context, c *caller, name string) (*resource.Database, error) {
	served, err := a.servedDatabases(ctx, name)
	if err != nil {
		return nil, err
	}
	as := c.access()
	for _, db := range served {
		if access.Visible(as, db, db.AllLabels()) {
			return db, nil
		}
	}
	return nil, fault.New(fault.NotFound, "database %q was not found; see tsh db ls for those you can use", name)
}
