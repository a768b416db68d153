package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"sallyport/internal/admission"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/route"
	"sallyport/internal/splice"
	"sallyport/internal/tunnel"
)

// prelude is what was said in clear before TLS. Its zero value says nothing, as with clients that begin with TLS.
type prelude struct {
	protocol string // of the database, as it is negotiated in clear; see resource
	greeting string // payload of the greeting that a client of MySQL was sent
}

// routeTLS reads the ClientHello and goes on by server name, protocol, and what was said before.
func (p *Proxy) routeTLS(ctx context.Context, conn net.Conn, read []byte, visitor *admission.Visitor, said prelude) error {
	hello, err := mux.ReadHello(conn, read)
	if err != nil {
		return err
	}
	unread := mux.Unread(conn, hello.Raw)
	if id, ok := route.ParseServerName(route.Fold(hello.ServerName), p.cfg.Cluster); ok {
		return p.toAgent(ctx, conn, hello.Raw, id, said.greeting, visitor)
	}
	switch {
	case said.protocol != "":
		return p.terminate(ctx, unread, hello.Protocols, said, visitor)
	case slices.Contains(hello.Protocols, mtls.ProtocolAuth):
		_ = conn.SetDeadline(time.Time{})
		p.cfg.PassToAuth(ctx, unread, visitor)
	case slices.Contains(hello.Protocols, mtls.ProtocolTunnel):
		p.serveTLS(p.tunnel, mtls.Newest(mtls.At(p.cfg.Now, mtls.Server(p.cfg.HostCert, p.cfg.Trust, true, mtls.ProtocolHTTP2))), unread, visitor, callTimeout)
	case slices.ContainsFunc(hello.Protocols, route.IsProtocol):
		return p.terminate(ctx, unread, hello.Protocols, said, visitor)
	case isDetour(conn):
		return errors.New("a detour leads to the cluster, and to no pages or further detours")
	case slices.Contains(hello.Protocols, mtls.ProtocolProxy):
		p.serveTLS(p.web, mtls.Newest(mtls.Web(p.cfg.HostCert, mtls.ProtocolHTTP2, mtls.ProtocolHTTP)), unread, visitor, 0)
	default:
		p.serveTLS(p.web, mtls.Web(p.cfg.WebCert, mtls.ProtocolHTTP2, mtls.ProtocolHTTP), unread, visitor, 0)
	}
	return nil
}

func newDispatch(conn net.Conn, greeting string) tunnel.Dispatch {
	d := tunnel.Dispatch{ClientAddress: conn.RemoteAddr().String(), ListenerAddress: conn.LocalAddr().String(), MySQLGreeting: greeting}
	_, _ = rand.Read(d.Connection[:]) // never fails (crypto/rand)
	return d
}

// toAgent gives a client to an agent that serves the database, and copies until the session ends. Greeting is what a
// client of MySQL was greeted with; empty for others.
func (p *Proxy) toAgent(ctx context.Context, conn net.Conn, hello []byte, id, greeting string, visitor *admission.Visitor) error {
	d := newDispatch(conn, greeting)
	hosts := p.agentsOf(id)
	if len(hosts) == 0 {
		return fmt.Errorf("no agent serves the database with id %s", id)
	}
	var failures []error
	for _, host := range hosts {
		if p.isLocal(host) {
			_ = conn.SetDeadline(time.Time{})
			p.cfg.Local.Serve(ctx, mux.Unread(conn, hello), d, visitor.Known)
			return nil
		}
		agent, err := p.hub.Dispatch(ctx, host, d)
		p.silent.note(host, err)
		if err != nil {
			failures = append(failures, fmt.Errorf("agent %s: %w", host, err))
			continue
		}
		return p.join(conn, agent, hello, d.Connection, visitor)
	}
	return errors.Join(failures...)
}

// join sends the kept bytes and copies both ways.
func (p *Proxy) join(client, agent net.Conn, hello []byte, id tunnel.ID, visitor *admission.Visitor) error {
	p.reports.await(id, visitor.Known)
	defer p.reports.forget(id)
	_ = client.SetDeadline(time.Time{})
	if _, err := agent.Write(hello); err != nil {
		_ = agent.Close()
		return fmt.Errorf("sending ClientHello to agent: %w", err)
	}
	c, ok1 := bare(client).(splice.Conn)
	a, ok2 := bare(agent).(splice.Conn)
	if !ok1 || !ok2 {
		_ = agent.Close()
		return errors.New("connection cannot be half-closed")
	}
	_, _, err := splice.Join(c, a)
	if err != nil && !errors.Is(err, io.EOF) {
		p.cfg.Logger.Debug("session ended", "client", client.RemoteAddr().String(), "error", err)
	}
	return nil
}

func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}
