package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/route"
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
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id := *c.id // everything that restricts the caller now restricts the new certificate
	id.Roles, id.Traits = c.user.Spec.Roles, c.user.Spec.Traits
	id.Route, id.ProxyTerminated = nil, false
	if asked := req.GetRoute(); asked != nil {
		if id.Route, err = a.routeFor(ctx, c, asked); err != nil {
			return nil, err
		}
		id.ProxyTerminated = req.GetProxyTerminated()
	}
	expires := a.Now().Add(maxUserTTL)
	if ttl := req.GetTtl().AsDuration(); ttl > 0 {
		expires = a.Now().Add(ttl)
	}
	expires = earliest(expires, c.id.Expires, c.id.LoginExpires)
	der, err := a.issue(ctx, c, &id, publicKey, expires)
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
	expires := a.Now().Add(ttl)
	as.id.LoginExpires = expires.UTC().Truncate(time.Second)
	as.id.Impersonator = userMeta(c).User
	if asked := req.GetRoute(); asked != nil {
		if as.id.Route, err = a.routeFor(ctx, as, asked); err != nil {
			return nil, err
		}
	}
	der, err := a.issue(ctx, c, as.id, publicKey, expires)
	if err != nil {
		return nil, err
	}
	return &sallyportv1.SignUserCertificateResponse{
		Certificate: ca.EncodeCertificate(der), Authorities: a.publicAuthorities(), ClusterName: a.cluster,
	}, nil
}

// impersonated returns a user as if it had called, refusing locked ones.
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
	as.user = user
	as.id.Roles, as.id.Traits = user.Spec.Roles, user.Spec.Traits
	if as.roles, err = a.roles(ctx, user.Spec.Roles); err != nil {
		return nil, err
	}
	return as, a.refuseLocked(ctx, as)
}

// issue records and signs a user's certificate.
func (a *Authority) issue(ctx context.Context, c *caller, id *identity.Identity, publicKey any, expires time.Time) ([]byte, error) {
	if !expires.After(a.Now()) {
		return nil, fault.New(fault.Unauthenticated, "your login has ended; log in again with tsh login")
	}
	event := &audit.CertificateCreate{UserMeta: userMeta(c), CertType: "user", Identity: audit.CertificateIdentity{
		User: id.Name, Roles: id.Roles, Traits: id.Traits, Expires: expires, Cluster: id.Cluster, ClientIP: id.PinnedIP,
		MFADeviceUUID: id.MFADevice, Impersonator: id.Impersonator,
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
func (a *Authority) routeFor(ctx context.Context, c *caller, asked *sallyportv1.DatabaseRoute) (*identity.Route, error) {
	db, err := a.visibleDatabase(ctx, c, asked.GetService())
	if err != nil {
		return nil, err
	}
	return &identity.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, User: asked.GetUser(), Database: asked.GetDatabase()}, nil
}

// SignDatabaseServerCertificate implements the API.
func (a certAPI) SignDatabaseServerCertificate(ctx context.Context, req *sallyportv1.SignDatabaseServerCertificateRequest) (*sallyportv1.SignDatabaseServerCertificateResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	hosts := req.GetHosts()
	if len(hosts) == 0 || len(hosts) > maxServerHosts || slices.Contains(hosts, "") {
		return nil, fault.New(fault.BadParameter, "name the database's host names or addresses with --host, at most %d", maxServerHosts)
	}
	ttl := req.GetTtl().AsDuration()
	switch {
	case ttl == 0:
		ttl = defaultServerTTL
	case ttl < 0 || ttl > maxServerTTL:
		return nil, fault.New(fault.BadParameter, "a database's certificate lives at most ten years")
	}
	subject := (&identity.Identity{Name: hosts[0], Cluster: a.cluster}).Subject()
	if err := a.record(ctx, &audit.CertificateCreate{UserMeta: userMeta(callerOf(ctx)), CertType: "db",
		Identity: audit.CertificateIdentity{User: hosts[0], Cluster: a.cluster, Expires: a.Now().Add(ttl)}}); err != nil {
		return nil, err
	}
	der, err := a.authority(ca.DatabaseCA).signer.Sign(ca.Request{
		PublicKey: publicKey, Subject: subject, Hosts: hosts,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: a.Now().Add(ttl),
	}, a.Now())
	if err != nil {
		return nil, err
	}
	return &sallyportv1.SignDatabaseServerCertificateResponse{
		Certificate: ca.EncodeCertificate(der), ClientAuthorities: a.trustedPEM(ca.ClientCA),
	}, nil
}

// SignDatabaseClientCertificate implements the API.
func (a certAPI) SignDatabaseClientCertificate(ctx context.Context, req *sallyportv1.SignDatabaseClientCertificateRequest) (*sallyportv1.SignDatabaseClientCertificateResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	if _, err := a.servesDatabase(ctx, callerOf(ctx).id.Name, req.GetDatabaseService()); err != nil {
		return nil, err
	}
	user, err := a.presentedUser(req.GetUserCertificate())
	if err != nil {
		return nil, err
	}
	if user.Route == nil || user.Route.Service != req.GetDatabaseService() {
		return nil, fault.New(fault.AccessDenied, "the user's certificate is not for database %q", req.GetDatabaseService())
	}
	if err := a.refuseLockedSubject(ctx, access.LockSubject{User: user.Name, Roles: user.Roles, MFADevice: user.MFADevice}); err != nil {
		return nil, err
	}
	if req.GetDatabaseUser() == "" {
		return nil, fault.New(fault.BadParameter, "no database user was named")
	}
	expires := earliest(a.Now().Add(clientCertTTL), user.Expires)
	der, err := a.authority(ca.ClientCA).signer.Sign(ca.Request{
		PublicKey:   publicKey,
		Subject:     (&identity.Identity{Name: req.GetDatabaseUser(), Cluster: a.cluster}).Subject(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: expires,
	}, a.Now())
	if err != nil {
		return nil, err
	}
	return &sallyportv1.SignDatabaseClientCertificateResponse{
		Certificate: ca.EncodeCertificate(der), ServerAuthorities: a.trustedPEM(ca.DatabaseCA), Expires: timestamppb.New(expires),
	}, nil
}

// presentedUser verifies a user's certificate that another host has seen.
func (a *Authority) presentedUser(pem []byte) (*identity.Identity, error) {
	cert, err := ca.ParseCertificate(pem)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the user's certificate cannot be read")
	}
	id, err := a.Trust().Verify([]*x509.Certificate{cert}, x509.ExtKeyUsageClientAuth, a.Now())
	if err != nil || id.Kind != identity.User {
		return nil, fault.Wrap(fault.AccessDenied, err, "the user's certificate is not one of this cluster, or has expired")
	}
	return id, nil
}

// SignListenerCertificate implements the API.
func (a certAPI) SignListenerCertificate(ctx context.Context, req *sallyportv1.SignListenerCertificateRequest) (*sallyportv1.SignListenerCertificateResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	services := req.GetDatabaseServices()
	if len(services) == 0 || len(services) > maxListenerServices {
		return nil, fault.New(fault.BadParameter, "a listener certificate is for 1 to %d databases", maxListenerServices)
	}
	var hosts []string
	for _, service := range services {
		if _, err := a.servesDatabase(ctx, callerOf(ctx).id.Name, service); err != nil {
			return nil, err
		}
		hosts = append(hosts, route.ServerName(service, a.cluster))
	}
	der, err := a.authority(ca.HostCA).signer.Sign(ca.Request{
		PublicKey: publicKey, Hosts: hosts,
		Subject:     (&identity.Identity{Name: callerOf(ctx).id.Name, Cluster: a.cluster}).Subject(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: a.Now().Add(listenerTTL),
	}, a.Now())
	return &sallyportv1.SignListenerCertificateResponse{Certificate: ca.EncodeCertificate(der)}, err
}

// SignProxySession implements the API.
func (a certAPI) SignProxySession(ctx context.Context, req *sallyportv1.SignProxySessionRequest) (*sallyportv1.SignProxySessionResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id, err := a.presentedUser(req.GetUserCertificate())
	if err != nil {
		return nil, err
	}
	if id.Route == nil || !id.ProxyTerminated {
		return nil, fault.New(fault.AccessDenied, "this certificate may not be used where the proxy ends TLS; connect with tsh db connect or tsh proxy db --tunnel")
	}
	expires := earliest(a.Now().Add(proxySessionTTL), id.Expires)
	session := *id
	session.ProxySession, session.DisallowReissue = true, true
	der, err := a.issue(ctx, callerOf(ctx), &session, publicKey, expires)
	return &sallyportv1.SignProxySessionResponse{Certificate: ca.EncodeCertificate(der)}, err
}

// RenewHostCertificate implements the API.
func (a certAPI) RenewHostCertificate(ctx context.Context, req *sallyportv1.RenewHostCertificateRequest) (*sallyportv1.RenewHostCertificateResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	cert, err := a.hostCertificate(callerOf(ctx).id, publicKey)
	return &sallyportv1.RenewHostCertificateResponse{Identity: cert}, err
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
