package auth

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

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
	if i := slices.IndexFunc(hosts, isNoHost); i >= 0 {
		return nil, fault.New(fault.BadParameter, "%q is neither a host name nor an address; clients compare it with the host that they connect to", hosts[i])
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
		// For clients too: nodes of a Redis Cluster and members of a replica set are clients of each other. It makes nobody a client
		// of this cluster, where no door takes this authority, nor of databases, unless they are told to trust it.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotAfter: a.Now().Add(ttl),
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
	server, err := a.servesDatabase(ctx, callerOf(ctx).id.Name, req.GetDatabaseService())
	if err != nil {
		return nil, err
	}
	if req.GetDatabaseUser() == "" {
		return nil, fault.New(fault.BadParameter, "no database user was named")
	}
	var event *audit.CertificateCreate
	if id := req.GetCheckId(); id != "" {
		event, err = a.forCheck(callerOf(ctx).id.Name, req)
	} else {
		event, err = a.forSession(ctx, server, req)
	}
	if err != nil {
		return nil, ofUser(err)
	}
	event.UserMeta = userMeta(callerOf(ctx))
	expires := event.Identity.Expires
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	der, err := a.authority(ca.ClientCA).signer.Sign(ca.Request{
		PublicKey: publicKey,
		// Nothing but the account: MySQL and MongoDB compare the whole subject.
		Subject:     pkix.Name{CommonName: req.GetDatabaseUser()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: expires,
	}, a.Now())
	if err != nil {
		return nil, err
	}
	return &sallyportv1.SignDatabaseClientCertificateResponse{
		Certificate: ca.EncodeCertificate(der), ServerAuthorities: a.trustedPEM(ca.DatabaseCA), Expires: timestamppb.New(expires),
	}, nil
}

// ofUser makes a denial of every refusal of a user whose certificate an agent has presented: who is not authenticated is the agent then.
func ofUser(err error) error {
	if fault.Is(err, fault.Unauthenticated) {
		return fault.Wrap(fault.AccessDenied, err, "%s", fault.Message(err))
	}
	return err
}

// forSession returns what is to be recorded of a client certificate for a user's session, if the user may have it.
func (a *Authority) forSession(ctx context.Context, server *resource.DatabaseServer, req *sallyportv1.SignDatabaseClientCertificateRequest) (*audit.CertificateCreate, error) {
	as, err := a.presentedUser(ctx, req.GetUserCertificate())
	if err != nil {
		return nil, err
	}
	if as.id.Route == nil || as.id.Route.Service != req.GetDatabaseService() {
		return nil, fault.New(fault.AccessDenied, "the user's certificate is not for database %q", req.GetDatabaseService())
	}
	if err := as.mayReach(server.Spec.Database, req.GetDatabaseUser()); err != nil {
		return nil, err
	}
	return &audit.CertificateCreate{CertType: "db_client", Identity: audit.CertificateIdentity{
		User: as.id.Name, Cluster: a.cluster, Impersonator: as.id.Impersonator,
		Expires: earliest(a.Now().Add(clientCertTTL), as.id.Expires, as.accountExpires()),
		Route:   audit.DatabaseRoute{ServiceName: req.GetDatabaseService(), Protocol: as.id.Route.Protocol, Username: req.GetDatabaseUser()},
	}}, nil
}

// presentedUser verifies a user's certificate that another host has seen, and returns the user as if it
// had called with it: as it is now, within what the certificate says.
func (a *Authority) presentedUser(ctx context.Context, pem []byte) (*caller, error) {
	cert, err := ca.ParseCertificate(pem)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the user's certificate cannot be read")
	}
	id, err := a.Trust().Verify([]*x509.Certificate{cert}, x509.ExtKeyUsageClientAuth, a.Now())
	if err != nil || id.Kind != identity.User {
		return nil, fault.Wrap(fault.AccessDenied, err, "the user's certificate is not one of this cluster, or has expired")
	}
	as := &caller{id: id}
	if err := a.loadUser(ctx, as); err != nil {
		return nil, err
	}
	// A lock on a role that the user has lost since then still holds for the certificate.
	roles := slices.Concat(id.Roles, as.user.Spec.Roles)
	return as, a.refuseLockedSubject(ctx, access.LockSubject{User: id.Name, Roles: roles, MFADevice: id.MFADevice})
}

// mayReach refuses an account in a database that the user's roles do not allow now. The agent has decided
// already; this one does not rely on it.
func (c *caller) mayReach(db *resource.Database, account string) error {
	as := c.access()
	as.MFAVerified = c.id.MFADevice != ""
	return access.Check(as, access.Target{Database: db, Labels: db.AllLabels(), User: account}).Err()
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
	host, expires := callerOf(ctx).id.Name, a.Now().Add(listenerTTL)
	if err := a.record(ctx, &audit.CertificateCreate{UserMeta: userMeta(callerOf(ctx)), CertType: "listener",
		Identity: audit.CertificateIdentity{User: host, Cluster: a.cluster, Expires: expires,
			Route: audit.DatabaseRoute{ServiceName: strings.Join(services, ",")}}}); err != nil {
		return nil, err
	}
	der, err := a.authority(ca.HostCA).signer.Sign(ca.Request{
		PublicKey: publicKey, Hosts: hosts,
		Subject:     (&identity.Identity{Name: host, Cluster: a.cluster}).Subject(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: expires,
	}, a.Now())
	return &sallyportv1.SignListenerCertificateResponse{Certificate: ca.EncodeCertificate(der)}, err
}

// SignProxySession implements the API.
func (a certAPI) SignProxySession(ctx context.Context, req *sallyportv1.SignProxySessionRequest) (*sallyportv1.SignProxySessionResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	as, err := a.presentedUser(ctx, req.GetUserCertificate())
	if err != nil {
		return nil, err
	}
	if as.id.Route == nil || !as.id.ProxyTerminated {
		return nil, fault.New(fault.AccessDenied, "this certificate may not be used where the proxy ends TLS; connect with tsh db connect or tsh proxy db --tunnel")
	}
	db, err := a.visibleDatabase(ctx, as, as.id.Route.Service)
	if err != nil {
		return nil, err
	}
	if account := as.id.Route.User; account != "" {
		if err := as.mayReach(db, account); err != nil {
			return nil, err
		}
	}
	session := *as.id
	session.Roles, session.Traits = as.user.Spec.Roles, as.user.Spec.Traits
	session.ProxySession, session.DisallowReissue = true, true
	expires := earliest(a.Now().Add(proxySessionTTL), as.id.Expires, as.accountExpires())
	der, err := a.issue(ctx, callerOf(ctx), &session, as.accounts(db), publicKey, expires)
	return &sallyportv1.SignProxySessionResponse{Certificate: ca.EncodeCertificate(der)}, err
}

// RenewHostCertificate implements the API.
func (a certAPI) RenewHostCertificate(ctx context.Context, req *sallyportv1.RenewHostCertificateRequest) (*sallyportv1.RenewHostCertificateResponse, error) {
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	id := callerOf(ctx).id
	if id.HasSystemRole(string(resource.RoleAdmin)) {
		return nil, fault.New(fault.AccessDenied, "the administrator's identity is for tctl on the auth server's host, which renews it by itself")
	}
	if err := a.record(ctx, &audit.CertificateCreate{UserMeta: userMeta(callerOf(ctx)), CertType: "host",
		Identity: audit.CertificateIdentity{User: id.Name, Roles: id.SystemRoles, Cluster: a.cluster, Expires: a.Now().Add(hostLifetime)}}); err != nil {
		return nil, err
	}
	cert, err := a.hostCertificate(id, publicKey)
	return &sallyportv1.RenewHostCertificateResponse{Identity: cert}, err
}

// hostName is a name of a host or, with a star, of several (RFC 6125, section 6.4.3), with the underscores that some networks have.
var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*$`)

func isNoHost(host string) bool {
	return net.ParseIP(host) == nil && (len(host) > 253 || !hostName.MatchString(host))
}
