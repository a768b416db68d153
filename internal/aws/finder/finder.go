// Package finder finds databases in AWS: it asks the API of one service in one region what exists, and makes resources
// with names and labels of it.
//
// A look tells everything or says what it could not see. Whoever removes databases that are not found any more must keep
// those that a look could not see; see PartialError.
package finder

import (
	"context"
	"log/slog"
	"slices"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Config is what a Finder is made of. All fields must be set.
type Config struct {
	Credentials *credentials.Provider
	Logger      *slog.Logger
}

// Finder finds databases. Safe for concurrent use.
type Finder struct{ cfg Config }

// New returns a finder.
func New(cfg Config) *Finder { return &Finder{cfg: cfg} }

// Query is one look: one type of database in one region.
type Query struct {
	Type   string          // one of Types
	Region string          // such as us-west-1
	Tags   resource.Labels // that a database must have once its tags are labels; empty means all databases
	// AssumeRoleARN is the role that looks, and that reaches what is found; empty for the process's own.
	AssumeRoleARN, ExternalID string
}

// listing finds the databases of a type.
type listing struct {
	is   endpoint.Type
	list func(*look, context.Context) error
}

// lists are the types that can be looked for.
var lists = []listing{
	{endpoint.RDS, (*look).rds},
	{endpoint.RDSProxy, (*look).rdsProxy},
	{endpoint.Redshift, (*look).redshift},
	{endpoint.RedshiftServerless, (*look).redshiftServerless},
	{endpoint.ElastiCache, (*look).elastiCache},
	{endpoint.ElastiCacheServerless, (*look).elastiCacheServerless},
	{endpoint.MemoryDB, (*look).memoryDB},
	{endpoint.OpenSearch, (*look).openSearch},
	{endpoint.DocumentDB, (*look).documentDB},
}

// Types returns the types of databases that can be looked for.
func Types() []string {
	types := make([]string, len(lists))
	for i, one := range lists {
		types[i] = string(one.is)
	}
	return types
}

// Find returns all databases that match, sorted by name, each valid and with a name of its own among them. Errors are
// faults. With a *PartialError there are databases too, of the parts that could be seen; with any other error nothing
// is known.
func (f *Finder) Find(ctx context.Context, q Query) ([]*resource.Database, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	chain := credentials.Chain{Region: q.Region, AssumeRoleARN: q.AssumeRoleARN}
	if q.AssumeRoleARN != "" {
		chain.ExternalID = q.ExternalID
	}
	cfg, err := f.cfg.Credentials.For(ctx, chain)
	if err != nil {
		return nil, err
	}
	cfg.Retryer = patient(cfg.RetryMaxAttempts)
	l := &look{Query: q, cfg: cfg, log: f.cfg.Logger.With("type", q.Type, "region", q.Region)}
	at := slices.IndexFunc(lists, func(one listing) bool { return string(one.is) == q.Type })
	if err := lists[at].list(l, ctx); err != nil {
		return nil, credentials.Explain(err)
	}
	return l.databases()
}

func (q *Query) check() error {
	switch {
	case !slices.Contains(Types(), q.Type):
		return fault.New(fault.BadParameter, "databases of type %q cannot be looked for in AWS; use one of %q", q.Type, Types())
	case !endpoint.IsRegion(q.Region):
		return fault.New(fault.BadParameter, "%q is not a region, as in us-west-1", q.Region)
	case q.ExternalID != "" && q.AssumeRoleARN == "" && !endpoint.Type(q.Type).UsersAreRoles():
		return fault.New(fault.BadParameter, "external_id is used with assume_role_arn only; set both to look for databases of type %q", q.Type)
	}
	for key, values := range q.Tags {
		for _, value := range values {
			if _, err := resource.ParsePattern(value); err != nil {
				return fault.Wrap(fault.BadParameter, err, "the tag %q cannot be looked for: %s", key, err)
			}
		}
	}
	if len(q.Tags) == 0 {
		q.Tags = resource.Labels{"*": {"*"}}
	}
	return nil
}
