package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"sallyport/internal/admission"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/pgwire"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/splice"
)

// terminate serves a client that cannot name the database in its ClientHello: TLS ends here, for a
// certificate that was made for that. The proxy asks for a certificate for this one connection and goes
// the usual way to the agent with it, unless that is in this process. A client whose protocol is known may come without a certificate, to read in that
// protocol that it needs one.
func (p *Proxy) terminate(ctx context.Context, conn *mux.Conn, offered []string, said prelude, visitor *admission.Visitor) error {
	protocols := slices.DeleteFunc(slices.Clone(offered), func(name string) bool { return !route.IsProtocol(name) })
	reception := mtls.Reception{Certificate: p.cfg.WebCert, Trust: p.cfg.Trust, Now: p.cfg.Now, Protocols: protocols, Strangers: said.protocol != ""}
	outer, who, err := reception.Receive(ctx, conn)
	if err != nil {
		return err
	}
	state, user := outer.ConnectionState(), who.Identity
	if spoken := state.NegotiatedProtocol; user != nil && user.Route != nil && !route.Speaks(spoken, user.Route.Protocol) {
		return fmt.Errorf("the client speaks %s and its certificate is for a database that speaks %s", spoken, user.Route.Protocol)
	}
	if who.Expired != nil {
		return errors.Join(who.Expired, refuseClient(outer, said, user, who.Expired))
	}
	cert, err := p.admit(ctx, user, &state, said)
	if err != nil {
		return errors.Join(err, refuseClient(outer, said, user, err))
	}
	visitor.Known()
	service := user.Route.Service
	if hosts := p.agentsOf(route.ID(service)); len(hosts) > 0 && p.isLocal(hosts[0]) {
		_ = conn.SetDeadline(time.Time{})
		p.cfg.Local.ServeTerminated(ctx, outer, cert.Leaf, route.ServerName(service, p.cfg.Cluster), newDispatch(conn, said.greeting))
		return nil
	}
	inner, err := p.dialAgent(ctx, conn, service, said, cert, visitor)
	if err != nil {
		return errors.Join(err, refuseClient(outer, said, user, err))
	}
	_ = conn.SetDeadline(time.Time{})
	defer outer.Close()
	defer inner.Close()
	return splice.Relay(outer, inner)
}

// admit returns a certificate for the session of a user whose own TLS ends here. The user is nil without a certificate.
func (p *Proxy) admit(ctx context.Context, user *identity.Identity, state *tls.ConnectionState, said prelude) (*tls.Certificate, error) {
	switch {
	case user == nil || user.Kind != identity.User || user.Route == nil || !user.ProxyTerminated:
		return nil, fault.New(fault.AccessDenied, "no certificate for a database was shown; use the files that tsh db login stored, or %s", insteadOfNative)
	case said.protocol != "" && said.protocol != user.Route.Protocol:
		return nil, fault.New(fault.BadParameter, "the certificate is for database %q, which speaks %s, and the client speaks %s; connect with tsh db connect %[1]s",
			user.Route.Service, user.Route.Protocol, said.protocol)
	case p.cfg.EndToEndOnly:
		return nil, fault.New(fault.AccessDenied, "this cluster takes end-to-end connections only; connect with tsh db connect, or name the database in TLS by the host that tsh db config prints")
	}
	return p.sessionCertificate(ctx, state.PeerCertificates[0].Raw)
}

// refuseClient tells a client why its connection ends, in its protocol, as far as that is known here. Clients read the
// answer to their first message only.
func refuseClient(client *tls.Conn, said prelude, user *identity.Identity, cause error) error {
	protocol := said.protocol
	if protocol == "" && user != nil && user.Route != nil {
		protocol = user.Route.Protocol
	}
	switch protocol {
	case resource.ProtocolPostgres:
		if _, err := client.Read(make([]byte, pgwire.MaxFirst)); err != nil {
			return err
		}
		_, err := client.Write(pgwire.Fatal("28000", fault.Message(cause)))
		return errors.Join(err, client.CloseWrite())
	case resource.ProtocolMySQL:
		return refuseMySQL(client, said.greeting != "", cause)
	case resource.ProtocolRedis, resource.ProtocolMongoDB, "": // they see that the connection ends
		return nil
	default:
		return fmt.Errorf("nothing can be said to clients of %q", protocol)
	}
}

func (p *Proxy) sessionCertificate(ctx context.Context, user []byte) (*tls.Certificate, error) {
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, err
	}
	res, err := p.cfg.Auth.Certificates.SignProxySession(ctx, &sallyportv1.SignProxySessionRequest{
		PublicKey: public, UserCertificate: ca.EncodeCertificate(user),
	})
	if err != nil {
		return nil, fmt.Errorf("getting a certificate for the session: %w", err)
	}
	return ca.Join(key, res.GetCertificate())
}

// dialAgent opens the end-to-end path to an agent, from this proxy's own other side.
func (p *Proxy) dialAgent(ctx context.Context, client net.Conn, service string, said prelude, cert *tls.Certificate, visitor *admission.Visitor) (*tls.Conn, error) {
	name := route.ServerName(service, p.cfg.Cluster)
	near, far := net.Pipe()
	conn := tls.Client(near, mtls.Named(name, p.cfg.Trust().Pool(ca.HostCA), cert))
	p.conns.Go(func() {
		if err := p.routeTLS(ctx, &addressed{Conn: far, client: client}, nil, visitor, said); err != nil {
			p.cfg.Logger.Debug("connection refused", "client", client.RemoteAddr().String(), "error", err)
			_ = far.Close()
		}
	})
	handshake, cancel := context.WithTimeout(ctx, firstBytesWait)
	defer cancel()
	if err := conn.HandshakeContext(handshake); err != nil {
		_ = near.Close()
		return nil, fault.Wrap(fault.ConnectionProblem, err, "no database service answers for %q now; try again, and ask an administrator if that goes on", service)
	}
	return conn, nil
}

// addressed is a connection inside the proxy that shows the addresses of the client's.
type addressed struct {
	net.Conn
	client net.Conn
}

func (a *addressed) RemoteAddr() net.Addr { return a.client.RemoteAddr() }
func (a *addressed) LocalAddr() net.Addr  { return a.client.LocalAddr() }

// CloseWrite ends the connection: a pipe has no halves, and TLS above it has ended.
func (a *addressed) CloseWrite() error { return a.Conn.Close() }
