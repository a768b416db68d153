package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// Database is a database as the user sees it.
type Database struct {
	*resource.Database
	AllowedUsers, DeniedUsers []string
	AllowedNames, DeniedNames []string
	Health                    string // healthy, unknown or unhealthy, as agents find it
}

// ListDatabases returns the databases that the user may see, by name; with a name only that one.
func ListDatabases(ctx context.Context, api *authapi.Client, name string) ([]*Database, error) {
	res, err := api.Databases.ListDatabases(ctx, &sallyportv1.ListDatabasesRequest{Name: name})
	if err != nil {
		return nil, err
	}
	var all []*Database
	for _, visible := range res.GetDatabases() {
		r, err := resource.Decode(resource.KindDatabase, visible.GetJson())
		if err != nil {
			return nil, err
		}
		all = append(all, &Database{
			Database:     r.(*resource.Database),
			AllowedUsers: visible.GetAllowedUsers(), DeniedUsers: visible.GetDeniedUsers(),
			AllowedNames: visible.GetAllowedNames(), DeniedNames: visible.GetDeniedNames(),
			Health: cmp.Or(visible.GetHealth(), resource.HealthUnknown),
		})
	}
	return all, nil
}

// Route says which database a login is for, and the defaults of user and database name.
type Route struct {
	Service, Protocol, User, Name string
	Type                          string // of the database, as resource.Database.Type has it; for clients that have to know
	// ProxyTerminated asks for a login that the proxy may end TLS for.
	ProxyTerminated bool
}

// DatabaseLogin gets a certificate for one database. A zero ttl asks for as long as the login lasts.
func DatabaseLogin(ctx context.Context, api *authapi.Client, r Route, ttl time.Duration) (*Credentials, error) {
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, err
	}
	res, err := api.Certificates.IssueUserCertificate(ctx, &sallyportv1.IssueUserCertificateRequest{
		PublicKey: public, Ttl: durationpb.New(ttl), ProxyTerminated: r.ProxyTerminated,
		Route: &sallyportv1.DatabaseRoute{Service: r.Service, User: r.User, Database: r.Name},
	})
	if err != nil {
		return nil, err
	}
	cert, err := ca.ParseCertificate(res.GetCertificate())
	if err != nil {
		return nil, err
	}
	trust, err := authapi.TrustOf(clusterOf(cert.Subject.Organization), res.GetAuthorities())
	if err != nil {
		return nil, err
	}
	return NewCredentials(key, res.GetCertificate(), trust)
}

func clusterOf(organization []string) string {
	if len(organization) == 0 {
		return ""
	}
	return organization[0]
}

// DatabaseTLS returns the TLS configuration of a connection to an agent that serves the database of the
// credentials: end to end, by the database's name.
func (c *Credentials) DatabaseTLS() (*tls.Config, error) {
	r := c.Identity.Route
	if r == nil {
		return nil, fault.New(fault.BadParameter, "this certificate is not for a database; run tsh db login")
	}
	name := route.ServerName(r.Service, c.Identity.Cluster)
	return mtls.Named(name, c.Trust.Pool(ca.HostCA), c.Certificate(), route.Protocol(r.Protocol)), nil
}
