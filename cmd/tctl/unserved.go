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
