// Package metadata asks AWS about one database: ids and settings that logging in needs, tags for its labels, and
// whether the address it is registered with is its own. It switches IAM authentication on where that is off.
package metadata

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Config is what a Describer is made of. All fields must be set unless stated.
type Config struct {
	Credentials *credentials.Provider
	// WarnOnly lets databases be served whose address is not the one that AWS tells; a warning is logged.
	WarnOnly bool
	Logger   *slog.Logger
}

// Describer asks about databases. Safe for concurrent use.
type Describer struct {
	cfg    Config
	warned sync.Map // names of databases with the warnings that were logged of them
}

const callTimeout = 20 * time.Second

// New returns a describer.
func New(cfg Config) *Describer { return &Describer{cfg: cfg} }

// description is what AWS says of a database.
type description struct {
	described.Database
	addresses  []string // that are its own: host:port, or a host whose port AWS does not tell
	serverName string   // in its certificate, if not the host of its address
	iamOff     func(context.Context) error
}

// Describe returns a copy of the database with its status, labels and server name as AWS says. Where AWS does not allow
// to ask, the copy has what is known without asking, and there is no error. Errors are faults; CompareFailed means that
// the database must not be served, because its address is not its own.
func (d *Describer) Describe(ctx context.Context, db *resource.Database) (*resource.Database, error) {
	t, err := target.Of(db)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cfg, err := d.cfg.Credentials.For(ctx, t.Chain())
	if err != nil {
		return nil, err
	}
	found, err := d.ask(ctx, cfg, &t)
	denied, isDenied := credentials.Denied(err)
	switch {
	case err == nil:
		if err := d.checkAddress(db, &t, found.addresses); err != nil {
			return nil, err
		}
		if isAnother(&t, found) {
			d.warnOnce(t.Name, "AWS knows a database of this id at another address, so that nothing is taken over from it; set aws.assume_role_arn to a role of the account that the database is in", "id_of", found.ARN, "addresses", found.addresses)
			found = nil
			break
		}
		d.switchOn(ctx, &t, found)
	case isDenied:
		if err := d.withoutPermission(db, &t, denied); err != nil {
			return nil, err
		}
	case fault.Is(credentials.Explain(err), fault.NotFound) && db.Origin() == resource.OriginCloud:
		return nil, fault.Wrap(fault.CompareFailed, err, "AWS does not know database %q any more: %s; wait for discovery, or remove it", t.Name, fault.Message(credentials.Explain(err)))
	default:
		return nil, credentials.Explain(err)
	}
	return merge(db, &t, found), nil
}

// ask calls the API of the database's service.
func (d *Describer) ask(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	ask, ok := map[endpoint.Type]func(context.Context, aws.Config, *target.Target) (*description, error){
		endpoint.RDS:                   d.rds,
		endpoint.RDSProxy:              d.rdsProxy,
		endpoint.Redshift:              d.redshift,
		endpoint.RedshiftServerless:    d.redshiftServerless,
		endpoint.ElastiCache:           d.elastiCache,
		endpoint.ElastiCacheServerless: d.elastiCacheServerless,
		endpoint.MemoryDB:              d.memoryDB,
		endpoint.OpenSearch:            d.openSearch,
		endpoint.DocumentDB:            d.documentDB,
	}[t.Type]
	if !ok { // one address for all of a region, and nothing to ask for
		return &description{addresses: []string{t.Endpoint.Host}}, nil
	}
	return ask(ctx, cfg, t)
}

// checkAddress refuses a discovered database whose address is not one that AWS tells for it: what was written into its
// resource since must not lead elsewhere.
func (d *Describer) checkAddress(db *resource.Database, t *target.Target, addresses []string) error {
	if db.Origin() != resource.OriginCloud {
		return nil
	}
	for _, address := range addresses {
		if strings.EqualFold(address, t.Endpoint.Address()) || strings.EqualFold(address, t.Endpoint.Host) {
			return nil
		}
	}
	err := fault.New(fault.CompareFailed, "expect database URL %s but got %s: database %q is not served; wait for discovery to correct it", strings.Join(addresses, " or "), t.Endpoint.Address(), t.Name)
	if d.cfg.WarnOnly {
		d.warnOnce(t.Name, "database is served although its address is not the one that AWS tells", "error", err)
		return nil
	}
	return err
}

// isAnother reports that what AWS says is of a database that only has the same id, as one in the agent's own account has when the
// database is in another. Of caches and documents AWS does not tell the addresses of all nodes.
func isAnother(t *target.Target, found *description) bool {
	switch t.Type {
	case endpoint.RDS, endpoint.RDSProxy, endpoint.Redshift, endpoint.RedshiftServerless:
	default:
		return false
	}
	return len(found.addresses) > 0 && !slices.ContainsFunc(found.addresses, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address // AWS does not tell the port
		}
		return strings.EqualFold(host, t.Endpoint.Host)
	})
}

// withoutPermission decides about a database that AWS does not let us ask about. Its host is one of the service's, as
// target.Of has made sure; a custom domain can be anybody's.
func (d *Describer) withoutPermission(db *resource.Database, t *target.Target, denied credentials.Denial) error {
	if db.Origin() != resource.OriginCloud {
		d.cfg.Logger.Debug("metadata of database cannot be read", "db", t.Name, "error", denied.Text)
		return nil
	}
	if !endpoint.InDomain(t.Type, t.AWS.Region, t.Partition(), t.Endpoint.Host) && !d.cfg.WarnOnly {
		return fault.New(fault.CompareFailed, "the address %s of database %q cannot be checked: %s; allow %s", t.Endpoint.Address(), t.Name, denied.Text, denied.Action)
	}
	d.warnOnce(t.Name, "address of discovered database cannot be compared with AWS; allow the call to have it checked", "action", denied.Action, "error", denied.Text)
	return nil
}

func (d *Describer) warnOnce(name, message string, args ...any) {
	if _, before := d.warned.LoadOrStore([2]string{name, message}, true); !before {
		d.cfg.Logger.Warn(message, append([]any{"db", name}, args...)...)
	}
}

// switchOn switches IAM authentication on where it is off. That it is not allowed is no news.
func (d *Describer) switchOn(ctx context.Context, t *target.Target, found *description) {
	if found.iamOff == nil {
		return
	}
	err := found.iamOff(ctx)
	switch _, denied := credentials.Denied(err); {
	case err == nil:
		d.cfg.Logger.Info("IAM authentication of database is being switched on", "db", t.Name)
	case denied:
		d.cfg.Logger.Debug("IAM authentication of database is off and cannot be switched on", "db", t.Name, "error", err)
	default:
		d.cfg.Logger.Warn("IAM authentication of database is off and could not be switched on", "db", t.Name, "error", err)
	}
}

// merge puts what was found into a copy of the database. Found may be nil.
func merge(db *resource.Database, t *target.Target, found *description) *resource.Database {
	out := resource.Clone(db)
	account := t.Account()
	if found == nil {
		found = &description{}
	}
	if arn, err := endpoint.ParseARN(found.ARN); err == nil && arn.Account != "" {
		account = arn.Account
	}
	out.Status.AWS = found.AWS
	out.Status.AWS.Region, out.Status.AWS.AccountID = t.AWS.Region, account
	if out.Spec.TLS.ServerName == "" && endpoint.InDomain(t.Type, t.AWS.Region, t.Partition(), found.serverName) {
		out.Spec.TLS.ServerName = found.serverName
	}
	// Discovery has labelled those in clouds, and what db resources are labelled with is for administrators to say: auth
	// registers no agent that says otherwise.
	if origin := db.Origin(); origin != resource.OriginCloud && origin != resource.OriginDynamic {
		own := labels.Place(account, t.AWS.Region)
		labels.OfEndpoint(own, t.Endpoint)
		maps.Copy(own, found.Labels)
		maps.DeleteFunc(own, func(_, value string) bool { return value == "" })
		out.Metadata.Labels = labels.Configured(db, labels.Tagged(own, found.Tags))
	}
	return out
}

// known leaves out addresses that a database does not have yet.
func known(addresses ...string) []string {
	var all []string
	for _, address := range addresses {
		if address != "" {
			all = append(all, address)
		}
	}
	return all
}

// tagged runs a call that lists tags. A database without them is better than none.
func (d *Describer) tagged(name string, tags map[string]string, err error) map[string]string {
	if err != nil {
		d.cfg.Logger.Debug("tags of database cannot be read", "db", name, "error", err)
		return nil
	}
	return tags
}

// noAnswer is the error of an answer that lacks what was asked for.
func noAnswer(what, name string) error {
	return fault.New(fault.ConnectionProblem, "AWS answered, but said nothing of the %s %q; asking again later", what, name)
}

// one returns the only element of an answer.
func one[T any](list []T, what string) (T, error) {
	if len(list) != 1 {
		var none T
		return none, fault.New(fault.NotFound, "AWS knows %d databases by the id %q, not one; correct the ids in the aws settings of the database", len(list), what)
	}
	return list[0], nil
}
