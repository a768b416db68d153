package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/route"
)

// terminate serves a client that cannot name the database in its ClientHello: TLS ends here, for a
// certificate that was made for that. The proxy asks for a certificate for this one connection and goes
// the usual way to the agent with it.
func (p *Proxy) terminate(ctx context.Context, conn *mux.Conn, guest *guest) error {
	outer := tls.Server(conn, mtls.Server(p.WebCert, p.Trust, true))
	if err := outer.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	state := outer.ConnectionState()
	user, err := mtls.PeerIdentity(&state)
	if err != nil {
		return err
	}
	if user.Kind != identity.User || user.Route == nil || !user.ProxyTerminated {
		return errors.New("client's certificate is not for a connection that ends here")
	}
	cert, err := p.sessionCertificate(ctx, state.PeerCertificates[0].Raw)
	if err != nil {
		return err
	}
	guest.leave()
	_ = conn.SetDeadline(time.Time{})
	inner, err := p.dialAgent(ctx, conn, user.Route.Service, cert)
	if err != nil {
		return err
	}
	return relay(outer, inner)
}

func (p *Proxy) sessionCertificate(ctx context.Context, user []byte) (*tls.Certificate, error) {
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, err
	}
	public, err := ca.EncodePublicKey(key)
	if err != nil {
		return nil, err
	}
	res, err := p.Auth.Certificates.SignProxySession(ctx, &sallyportv1.SignProxySessionRequest{
		PublicKey: public, UserCertificate: ca.EncodeCertificate(user),
	})
	if err != nil {
		return nil, fmt.Errorf("getting a certificate for the session: %w", err)
	}
	leaf, err := ca.ParseCertificate(res.GetCertificate())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// dialAgent opens the end-to-end path to an agent, from this proxy's own other side.
func (p *Proxy) dialAgent(ctx context.Context, client net.Conn, service string, cert *tls.Certificate) (*tls.Conn, error) {
	name := route.ServerName(service, p.Cluster)
	near, far := net.Pipe()
	conn := tls.Client(near, mtls.Named(name, p.Trust().Pool(ca.HostCA), cert))
	p.conns.Go(func() {
		stranger := &guest{all: p.guests}
		stranger.once.Do(func() {}) // counted already, as the client
		if err := p.routeTLS(ctx, &addressed{Conn: far, client: client}, nil, stranger, ""); err != nil {
			p.Logger.Debug("connection refused", "client", client.RemoteAddr().String(), "error", err)
			_ = far.Close()
		}
	})
	handshake, cancel := context.WithTimeout(ctx, firstBytesWait)
	defer cancel()
	if err := conn.HandshakeContext(handshake); err != nil {
		_ = near.Close()
		return nil, fmt.Errorf("reaching an agent for %q: %w", service, err)
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

// relay copies between two TLS connections until one ends.
func relay(a, b *tls.Conn) error {
	defer a.Close()
	defer b.Close()
	done := make(chan error, 2)
	oneWay := func(dst, src *tls.Conn) {
		_, err := io.Copy(dst, src)
		_ = dst.CloseWrite()
		done <- err
	}
	go oneWay(a, b)
	go oneWay(b, a)
	err := <-done
	_ = a.Close()
	_ = b.Close()
	<-done
	return err
}
