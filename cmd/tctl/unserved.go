package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/access"
	"sallyport/internal/authapi"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// noteUnserved tells whoever has written a database that no Database Service takes it on, which is no error: one may be started
// later. Who may write databases need not be able to see the services; then there is nothing to tell.
func noteUnserved(ctx context.Context, out io.Writer, api *authapi.Client, db *resource.Database) {
	services, err := listResources(ctx, api, resource.KindDatabaseService, false)
	if err == nil && !takenOn(db, services) {
		fmt.Fprintf(out, "NOTE: no Database Service that runs now serves db %q: its labels (%s) must match db_service.resources in the configuration of one; tctl db ls shows what is served\n",
			db.GetName(), cmp.Or(terminal.Clean(terminal.Labels(db.AllLabels())), "none"))
	}
}

// takenOn reports whether one of the services selects the database.
func takenOn(db *resource.Database, services []resource.Resource) bool {
	return slices.ContainsFunc(services, func(r resource.Resource) bool {
		return slices.ContainsFunc(r.(*resource.DatabaseService).Spec.Resources, func(selector resource.ResourceSelector) bool {
			return access.MatchLabels(selector.Labels, db.AllLabels())
		})
	})
}

// serversOfFiles returns the servers of databases that are written in the configuration files of agents. None are asked for when
// there is no database among the resources, and none returned to whoever may not see them.
func serversOfFiles(ctx context.Context, api *authapi.Client, written []resource.Resource) []resource.Resource {
	if !slices.ContainsFunc(written, func(r resource.Resource) bool { return r.GetKind() == resource.KindDatabase }) {
		return nil
	}
	servers, err := listResources(ctx, api, resource.KindDatabaseServer, false)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(servers, func(r resource.Resource) bool {
		return r.(*resource.DatabaseServer).Spec.Database.Origin() != resource.OriginConfigFile
	})
}

// noteDisplaced tells whoever has written a database which agents served another one of that name until then, by their
// configuration files: it is refused when they announce it next. The servers are those from before it was written.
func noteDisplaced(out io.Writer, servers []resource.Resource, db *resource.Database) {
	for _, r := range servers {
		server := r.(*resource.DatabaseServer)
		if server.Spec.Database.GetName() != db.GetName() {
			continue
		}
		if what := db.Difference(server.Spec.Database); what != "" {
			fmt.Fprintf(out, "NOTE: the Database Service of %s has db %q with other %s in its configuration file, and loses it within minutes; change one of them, or remove the resource with tctl rm db/%s\n",
				terminal.Clean(server.Spec.Hostname), db.GetName(), what, db.GetName())
		}
	}
}
