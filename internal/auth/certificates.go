package auth

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// Lifetimes of certificates.
const (
	maxUserTTL          = 30 * time.Hour
	clientCertTTL       = 5 * time.Minute // agent to database
	defaultServerTTL    = 12 * time.Hour  // of a database's own certificate
	maxServerTTL        = 10 * 365 * 24 * time.Hour
	listenerTTL         = 24 * time.Hour
	proxySessionTTL     = time.Minute
	maxListenerServices = 100
	maxServerHosts      = 100
)

// certAPI implements CertificateService.
type certAPI struct{ *Authority }

// IssueUserCertificate implements the API.
func (a certAPI) IssueUserCertificate(ctx context.Context, req *sallyportv1.IssueUserCertificateRequest) (*sallyportv1.IssueUserCertificateResponse, error) {
	c := callerOf(ctx)
	if c.id.DisallowReissue {
		return nil, fault.New(fault.AccessDenied, "this certificate cannot be exchanged for another; log in again with tsh login")
	}
	if !a.quotas.certificates.Take(c.id.Name) {
		return nil, fault.New(fault.LimitExceeded, "too many certificates were made for you; wait a minute and try again")
	}
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id := *c.id // everything that restricts the caller now restricts the new certificate
	id.Roles, id.Traits = c.user.Spec.Roles, c.user.Spec.Traits
	id.Route, id.ProxyTerminated = nil, false
	var allowed accounts
	if asked := req.GetRoute(); asked != nil {
		if id.Route, allowed, err = a.routeFor(ctx, c, asked); err != nil {
			return nil, err
		}
		id.ProxyTerminated = req.GetProxyTerminated()
	}
	expires := a.Now().Add(maxUserTTL)
	if ttl := req.GetTtl().AsDuration(); ttl > 0 {
		expires = a.Now().Add(ttl)
	}
	expires = earliest(expires, c.id.Expires, c.id.LoginExpires, c.accountExpires())
	der, err := a.issue(ctx, c, &id, allowed, publicKey, expires)
	if err != nil {
		return nil, err
	}
	return &sallyportv1.IssueUserCertificateResponse{
		Certificate: ca.EncodeCertificate(der), Authorities: a.publicAuthorities(), Expires: timestamppb.New(expires),
	}, nil
}

// SignUserCertificate implements the API.
func (a certAPI) SignUserCertificate(ctx context.Context, req *sallyportv1.SignUserCertificateRequest) (*sallyportv1.SignUserCertificateResponse, error) {
	c := callerOf(ctx)
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	as, err := a.impersonated(ctx, req.GetUser())
	if err != nil {
		return nil, err
	}
	limit := access.Options(as.roles, access.Defaults{}).MaxSessionTTL
	ttl := req.GetTtl().AsDuration()
	switch {
	case ttl <= 0:
		ttl = min(resource.DefaultSessionTTL, limit)
	case ttl > limit:
		return nil, fault.New(fault.BadParameter, "the roles of %q allow certificates for at most %s; ask for a shorter --ttl", req.GetUser(), limit)
	}
	expires := earliest(a.Now().Add(ttl), as.accountExpires())
	as.id.LoginExpires = expires.UTC().Truncate(time.Second)
	as.id.Impersonator = userMeta(c).User
	var allowed accounts
	if asked := req.GetRoute(); asked != nil {
		if as.id.Route, allowed, err = a.routeFor(ctx, as, asked); err != nil {
			return nil, err
		}
	}
	der, err := a.issue(ctx, c, as.id, allowed, publicKey, expires)
	if err != nil {
		return nil, err
	}
	return &sallyportv1.SignUserCertificateResponse{
		Certificate: ca.EncodeCertificate(der), Authorities: a.publicAuthorities(), ClusterName: a.cluster,
	}, nil
}

// impersonated returns a user as if it had called, refusing locked and expired ones.
func (a *Authority) impersonated(ctx context.Context, name string) (*caller, error) {
	as := &caller{id: &identity.Identity{Kind: identity.User, Cluster: a.cluster, Name: name}}
	user := &resource.User{}
	err := a.load(ctx, resource.KindUser, name, user)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "user %q does not exist; see tctl users ls", name)
	}
	if err != nil {
		return nil, err
	}
	if err := a.refuseExpired(user); err != nil {
		return nil, err
	}
	as.user = user
	as.id.Roles, as.id.Traits = user.Spec.Roles, user.Spec.Traits
	if as.id.Epoch, err = a.epoch(ctx, name); err != nil {
		return nil, err
	}
	if as.roles, err = a.roles(ctx, user.Spec.Roles); err != nil {
		return nil, err
	}
	return as, a.refuseLocked(ctx, as)
}

// accounts are those in the database of a route that the roles allow. They are recorded, and decided again at each use.
type accounts struct{ users, names []string }

func (c *caller) accounts(db *resource.Database) (all accounts) {
	policy, labels := access.Compile(c.access()), db.AllLabels()
	all.users, _ = policy.AllowedUsers(db, labels)
	all.names, _ = policy.AllowedNames(db, labels)
	return all
}

// issue records and signs a user's certificate.
func (a *Authority) issue(ctx context.Context, c *caller, id *identity.Identity, allowed accounts, publicKey any, expires time.Time) ([]byte, error) {
	if !expires.After(a.Now()) {
		return nil, fault.New(fault.Unauthenticated, "your login has ended; log in again with tsh login")
	}
	event := &audit.CertificateCreate{UserMeta: userMeta(c), CertType: "user", Identity: audit.CertificateIdentity{
		User: id.Name, Roles: id.Roles, Traits: id.Traits, Expires: expires, Cluster: id.Cluster, ClientIP: id.PinnedIP,
		MFADeviceUUID: id.MFADevice, Impersonator: id.Impersonator, DatabaseUsers: allowed.users, DatabaseNames: allowed.names,
	}}
	if id.Route != nil {
		event.Identity.Route = audit.DatabaseRoute{ServiceName: id.Route.Service, Protocol: id.Route.Protocol,
			Username: id.Route.User, Database: id.Route.Database}
	}
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	return a.signIdentity(id, publicKey, expires)
}

// routeFor checks that the caller may see the database and returns the route with its true protocol.
func (a *Authority) routeFor(ctx context.Context, c *caller, asked *sallyportv1.DatabaseRoute) (*identity.Route, accounts, error) {
	db, err := a.visibleDatabase(ctx, c, asked.GetService())
	if err != nil {
		return nil, accounts{}, err
	}
	route := &identity.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, User: asked.GetUser(), Database: asked.GetDatabase()}
	return route, c.accounts(db), nil
}

func (a *Authority) trustedPEM(typ ca.Type) [][]byte {
	var all [][]byte
	for _, cert := range a.authority(typ).trusted {
		all = append(all, ca.EncodeCertificate(cert.Raw))
	}
	return all
}

func publicKeyOf(pem []byte) (any, error) {
	key, err := ca.ParsePublicKey(pem)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the public key cannot be used: %s", err)
	}
	return key, nil
}

// earliest returns the first of the moments that are set.
func earliest(moments ...time.Time) time.Time {
	var first time.Time
	for _, t := range moments {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
