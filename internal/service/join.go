package service

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/introduction"
	"sallyport/internal/membership"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/resource"
	"sallyport/internal/splice"
)

const joinRetry = 5 * time.Second

// startMembership gives the daemon its identity and its way to the auth server.
func (d *daemon) startMembership(ctx, base context.Context, group *errgroup.Group) error {
	if d.cfg.Auth.Enabled {
		if err := d.openAuth(ctx, base, group); err != nil {
			return err
		}
		return d.localMember(base, group)
	}
	path := filepath.Join(d.cfg.DataDir, "proc", "identity.json")
	member, err := membership.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		member, err = d.join(ctx, path, d.joinClient)
	}
	if err == nil && d.cfg.JoinMethod != resource.JoinToken && !d.now().Before(member.Identity().Expires) {
		d.logger.Info("joining again, because the certificate of this host has expired")
		member, err = d.join(ctx, path, d.joinClient)
	}
	if err == nil {
		member, err = d.withRoles(ctx, member, path)
	}
	if err != nil {
		return err
	}
	d.member, d.hostID = member, member.Identity().Name // the id of an instance of EC2 comes with its certificate
	if !d.now().Before(member.Identity().Expires) {
		return fault.New(fault.Unauthenticated, "the certificate of this host expired at %s; remove %s and start with a new join token", member.Identity().Expires.UTC().Format(time.RFC3339), path)
	}
	d.client = authapi.NewTLS(d.reach.dialTLS, d.authTLS(member))
	group.Go(func() error {
		member.Run(base, d.client.Certificates, d.now, d.logger)
		d.client.Close()
		return nil
	})
	return nil
}

// withRoles returns the member if the cluster let it in for all services that are to run; otherwise it joins
// again.
func (d *daemon) withRoles(ctx context.Context, member *membership.Member, path string) (*membership.Member, error) {
	var missing []string
	for _, role := range d.roles {
		if !member.Identity().HasSystemRole(string(role)) {
			missing = append(missing, string(role))
		}
	}
	if len(missing) == 0 {
		return member, nil
	}
	token, err := d.joinToken()
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, fault.New(fault.BadParameter, "this host joined the cluster for %s and is now to run %s too; make a token with tctl tokens add --type=%s and start once with --token, or switch the service off",
			strings.Join(member.Identity().SystemRoles, " and "), strings.Join(missing, " and "), strings.ToLower(strings.Join(roleNames(d.roles), ",")))
	}
	d.logger.Info("joining again, because another service was enabled", "services", missing)
	if !d.now().Before(member.Identity().Expires) {
		return d.join(ctx, path, d.joinClient)
	}
	// Its certificate proves that the host id is this host's.
	return d.join(ctx, path, func(address string) (*authapi.Client, error) {
		return authapi.NewTLS(d.dialer.To(address), d.authTLS(member)), nil
	})
}

// authTLS is how a member talks to the auth server, directly or through a proxy.
func (d *daemon) authTLS(member *membership.Member) *tls.Config {
	return mtls.At(d.now, mtls.Client(member.Certificate, member.Trust, "Auth", "auth."+member.Trust().Cluster, mtls.ProtocolAuth, mtls.ProtocolHTTP2))
}

func roleNames(roles []resource.SystemRole) []string {
	var names []string
	for _, role := range roles {
		names = append(names, string(role))
	}
	return names
}

// join asks to be let into the cluster, with a client for one address after the other, until an answer comes.
func (d *daemon) join(ctx context.Context, path string, clientAt func(address string) (*authapi.Client, error)) (*membership.Member, error) {
	token, err := d.joinToken()
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, fault.New(fault.BadParameter, "this host has not joined a cluster yet and has no token; make one with tctl tokens add and give it with --token or teleport.join_params.token_name")
	}
	app := membership.Application{Token: token, HostID: d.hostID, NodeName: d.cfg.Nodename, Roles: roleNames(d.roles)}
	if d.cfg.Insecure {
		d.logger.Warn("the proxy's web certificate is not verified (--insecure): whoever answers at its address gets the join token, unless a CA pin is given")
	}
	for attempt := 1; ; attempt++ {
		member, err := d.joinOnce(ctx, app, path, clientAt)
		if err == nil {
			d.logger.Info("joined the cluster", "cluster", member.Trust().Cluster)
			return member, nil
		}
		if final := finalJoinError(err, len(d.cfg.CAPins) > 0); final != nil {
			return nil, final
		}
		wait := joinRetry
		if attempt%len(d.reach.configured) != 0 {
			wait = 0 // the next address first
		}
		d.logger.Warn("cannot reach the cluster to join; trying again", "error", err, "retry_in", wait.String())
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// joinOnce asks at one address.
func (d *daemon) joinOnce(ctx context.Context, app membership.Application, path string, clientAt func(string) (*authapi.Client, error)) (*membership.Member, error) {
	address := d.reach.addresses()[0]
	client, err := clientAt(address)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	app.Prove = func(ctx context.Context, req *sallyportv1.JoinRequest) error { return d.prove(ctx, client, req) }
	member, err := membership.Join(ctx, client.Join, app, path)
	if err != nil {
		d.reach.note(address, false)
	}
	return member, err
}

// finalJoinError returns what no further attempt would change.
func finalJoinError(err error, pinned bool) error {
	switch {
	case isCertificateError(err):
		if pinned { // then it is that of a balancer in front of the proxy
			return fault.Wrap(fault.ConnectionProblem, err, "the certificate of what ends TLS in front of the proxy cannot be verified; give it a certificate that this host trusts, or for tests use --insecure")
		}
		return fault.Wrap(fault.ConnectionProblem, err, "the proxy's web certificate cannot be verified; give the proxy a certificate that this host trusts, give this host a --ca-pin, or for tests use --insecure")
	case errors.Is(err, mtls.ErrPin):
		return fault.Wrap(fault.AccessDenied, err, "the auth server is not the one that the CA pin names; compare the pin with tctl status on the auth server")
	case fault.Is(err, fault.ConnectionProblem), fault.Is(err, fault.LimitExceeded), fault.Is(err, fault.Internal):
		return nil
	}
	return err
}

func isCertificateError(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// joinClient reaches the cluster before this host has an identity: with pins end to end with the auth
// server, also through the proxy; without, through the proxy, whose web certificate must be trusted.
func (d *daemon) joinClient(address string) (*authapi.Client, error) {
	pins, err := config.ReadPins(d.cfg.CAPins)
	if err != nil {
		return nil, err
	}
	switch {
	case len(pins) > 0:
		return authapi.NewTLS(d.dialer.To(address), mtls.At(d.now, mtls.Pinned(pins, mtls.ProtocolAuth, mtls.ProtocolHTTP2))), nil
	case d.cfg.ProxyAddr == "" && !d.cfg.AuthAddrMayBeProxy:
		return nil, fault.New(fault.BadParameter, "joining at the auth server itself needs its CA pin, so that the token goes to nobody else; see tctl status and give it with --ca-pin or teleport.ca_pin")
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%q is not host:port", address)
	}
	web := d.newDialer(detour.Never) // a web server is what is meant
	transport := authapi.NewTransport(web.To(address), mtls.At(d.now, mtls.ToWeb(host, d.cfg.Insecure, mtls.ProtocolHTTP2, mtls.ProtocolHTTP)))
	return authapi.New(&http.Client{Transport: transport}, "https://"+address), nil
}

// spliceToAuth introduces a client to the auth server elsewhere and copies its connection.
func (d *daemon) spliceToAuth(ctx context.Context, conn *mux.Conn) {
	defer conn.Close()
	upstream, err := d.reach.dial(ctx)
	if err != nil {
		d.logger.Warn("auth server cannot be reached", "error", err)
		return
	}
	defer upstream.Close()
	stop := context.AfterFunc(ctx, func() { _ = upstream.Close() })
	defer stop()
	raw, prefix := conn.Split()
	defer raw.Close()
	if err := d.introduce(upstream, raw, prefix); err != nil {
		d.logger.Warn("a client was not introduced to the auth server", "client", raw.RemoteAddr().String(), "error", err)
		return
	}
	a, ok1 := raw.(splice.Conn)
	b, ok2 := upstream.(splice.Conn)
	if ok1 && ok2 {
		_ = splice.Relay(a, b) // either side may leave at any time; whom auth has left is left here too
	}
}

// introduce sends what a client has sent so far, behind a word on who it is, unless another proxy has said it already.
func (d *daemon) introduce(upstream io.Writer, client net.Conn, prefix []byte) error {
	if strings.HasPrefix(string(prefix), introduction.Magic[:1]) {
		_, err := upstream.Write(prefix)
		return err
	}
	cert, err := d.member.Certificate("")
	if err != nil {
		return err
	}
	return introduction.Send(upstream, cert, client.RemoteAddr().String(), prefix, d.now())
}

func x509Key(cert *tls.Certificate) ([]byte, error) {
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of type %T cannot be written", cert.PrivateKey)
	}
	return ca.EncodeKey(signer)
}
