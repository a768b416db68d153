package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/cred"
	"sallyport/internal/resource"
)

// credentials measures what a Database Service does for each connection, before it dials.
func (w *world) credentials(ctx context.Context) error {
	bundle, err := os.ReadFile(w.Path("bundle.pem"))
	if err != nil {
		return err
	}
	database := func(name, uri string) *resource.Database {
		db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: resource.ProtocolPostgres, URI: uri}}
		db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", name
		db.Spec.TLS.CACert = string(bundle)
		db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = databaseRole, externalID
		return db
	}
	rds, redshift := database("orders", orders), database("warehouse", warehouse)
	for _, db := range []*resource.Database{rds, redshift} {
		if err := db.Validate(); err != nil {
			return err
		}
	}
	newSource := func() *login.Source {
		logger := slog.New(slog.DiscardHandler)
		return login.New(login.Config{
			Credentials: credentials.New(credentials.Config{SessionName: "bench", Logger: logger, Now: time.Now}),
			Roots:       roots.New(roots.Config{Dir: w.Path("roots"), Client: http.DefaultClient, Logger: logger, Now: time.Now}),
			Now:         time.Now,
		})
	}
	source := newSource()
	for _, one := range []struct {
		what, unit, wanted string
		per                time.Duration
		times              int
		source             func() *login.Source
		db                 *resource.Database
		user               func(i int) string
	}{
		{"token of RDS, first of a process (instance metadata, role of another account)", "ms", "", time.Millisecond, 20, newSource, rds, same},
		{"token of RDS, later ones", "µs", "≤ 1000", time.Microsecond, 20_000, nil, rds, same},
		{"password of Redshift, new account", "ms", "", time.Millisecond, 200, nil, redshift, func(i int) string { return fmt.Sprintf("user%d", i) }},
		{"password of Redshift, kept", "µs", "≤ 1000", time.Microsecond, 20_000, nil, redshift, same},
	} {
		took := make([]float64, one.times)
		for i := range took {
			from := source
			if one.source != nil {
				from = one.source()
			}
			began := time.Now()
			if _, err := from.Credential(ctx, cred.Request{Database: one.db, User: "bench", DatabaseUser: one.user(i), DatabaseName: "postgres"}); err != nil {
				return fmt.Errorf("%s: %w", one.what, err)
			}
			took[i] = float64(time.Since(began)) / float64(one.per)
		}
		row(one.what+", median of "+fmt.Sprint(one.times), one.unit, median(took), one.wanted)
	}
	return nil
}

func same(int) string { return "app" }
