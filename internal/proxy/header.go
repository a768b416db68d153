package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"sallyport/internal/admission"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/proxyheader"
)

var errForeignHeader = errors.New("a PROXY header from where none is accepted, or a second one")

// headerWarnings are told once: a balancer that is not set up well makes a line with every connection.
type headerWarnings struct{ refused, missing sync.Once }

// forwarded is a connection that a balancer has passed on as it is.
type forwarded struct {
	net.Conn
	client net.Addr // as the balancer says
}

// RemoteAddr implements net.Conn.
func (f *forwarded) RemoteAddr() net.Addr { return f.client }

// CloseWrite passes a half-close on.
func (f *forwarded) CloseWrite() error {
	if half, ok := f.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return f.Conn.Close()
}

// bare returns the connection as the kernel knows it, which can copy from it by itself. Nothing was read from it that
// is still to be given back.
func bare(conn net.Conn) net.Conn {
	if f, ok := conn.(*forwarded); ok {
		return f.Conn
	}
	return conn
}

// balancersOwn is where a connection comes from that a balancer has opened for itself. It is no address, so that no
// certificate can be bound to it, and none that is bound to the balancer's address is good there.
type balancersOwn struct{ peer netip.AddrPort }

func (balancersOwn) Network() string { return "tcp" }

func (o balancersOwn) String() string {
	return net.JoinHostPort("balancer:"+o.peer.Addr().String(), strconv.Itoa(int(o.peer.Port())))
}

// fromBalancer reads the header that begins each connection of certain peers, and returns the connection as the
// client's, or as the balancer's own when no client is named. Connections of others are returned as they are.
func (p *Proxy) fromBalancer(conn net.Conn) (net.Conn, error) {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || !slices.ContainsFunc(p.cfg.HeadersFrom, func(known netip.Prefix) bool { return known.Contains(peer.Addr().Unmap().WithZone("")) }) {
		return conn, nil
	}
	client, err := proxyheader.Read(conn)
	switch {
	case err == nil && client.IsValid():
		return &forwarded{conn, net.TCPAddrFromAddrPort(client)}, nil
	case err == nil:
		return &forwarded{conn, balancersOwn{peer}}, nil
	case !errors.Is(err, io.EOF): // who leaves at once only looks whether the port is open
		p.headers.missing.Do(func() {
			p.cfg.Logger.Warn("a balancer's connection has no good PROXY header; have it send one, or take it out of proxy_service.trust_proxy_protocol", "balancer", peer.Addr().String(), "error", err)
		})
	}
	return nil, err
}

// isBalancersOwn reports whether a connection has no client but the balancer.
func isBalancersOwn(conn net.Conn) bool {
	_, ok := conn.RemoteAddr().(balancersOwn)
	return ok
}

// serveOwn gives a balancer's own connection to the pages, whatever else it may ask for: health checks need no more.
func (p *Proxy) serveOwn(conn net.Conn, visitor *admission.Visitor) error {
	p.serveTLS(p.web, mtls.Web(p.cfg.WebCert, mtls.ProtocolHTTP2, mtls.ProtocolHTTP), mux.Unread(conn, nil), visitor, 0)
	return nil
}

// refuseHeader tells once that somebody sends headers who may not.
func (p *Proxy) refuseHeader(conn net.Conn) error {
	p.headers.refused.Do(func() {
		p.cfg.Logger.Warn("a PROXY header was refused; if it is a balancer's, set proxy_service.proxy_protocol to on and name it in trust_proxy_protocol, and have it send one header only", "client", conn.RemoteAddr().String())
	})
	return errForeignHeader
}
