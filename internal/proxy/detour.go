package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/admission"
	"sallyport/internal/detour"
	"sallyport/internal/introduction"
	"sallyport/internal/mux"
	"sallyport/internal/tunnel"
)

// webHandler serves pages, and the connections that come inside WebSockets because a balancer ends TLS.
func (p *Proxy) webHandler(drain context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visitor := admission.VisitorOf(r.Context())
		if err := p.believeBalancer(r, visitor); err != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, err.Error(), statusOf(err))
			return
		}
		if strings.TrimPrefix(r.URL.Path, "/v1") == detour.Path { // "/v1/webapi/..." is the same as "/webapi/..."
			p.takeDetour(drain, w, r, visitor)
			return
		}
		p.cfg.Pages.ServeHTTP(w, r)
	})
}

func statusOf(err error) int {
	if errors.Is(err, admission.ErrFull) {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// takeDetour serves the connection inside a WebSocket like one that came directly: the visitor is the same, and so
// are the limits. It goes on after the request has ended.
func (p *Proxy) takeDetour(drain context.Context, w http.ResponseWriter, r *http.Request, visitor *admission.Visitor) {
	if !p.begin() {
		http.Error(w, "this proxy is stopping; try again", http.StatusServiceUnavailable)
		return
	}
	defer p.conns.Done()
	conn, err := detour.Accept(w, r)
	if err != nil {
		p.cfg.Logger.Debug("detour refused", "client", r.RemoteAddr, "error", err)
		return
	}
	p.cfg.Logger.Debug("detour", "client", r.RemoteAddr)
	p.conns.Go(func() {
		p.attend(drain, conn, func() error { return p.routeDetour(drain, conn, visitor) })
	})
}

// routeDetour is route for what our own programs send on a detour. Others have no reason to be there.
func (p *Proxy) routeDetour(ctx context.Context, conn *detour.Conn, visitor *admission.Visitor) error {
	var first [1]byte
	if _, err := conn.Read(first[:]); err != nil {
		return fmt.Errorf("reading first byte: %w", err)
	}
	switch first[0] {
	case recordHandshake:
		return p.routeTLS(ctx, conn, first[:], visitor, prelude{})
	case tunnel.Magic[0]:
		if err := p.hub.Park(conn, first[:]); err != nil {
			return err
		}
		visitor.Leave() // whoever shows a ticket is none
		return nil
	case introduction.Magic[0]: // from another proxy, which reaches the auth server through this one
		_ = conn.SetDeadline(time.Time{})
		p.cfg.PassToAuth(ctx, mux.Unread(conn, first[:]), visitor)
		return nil
	default:
		return fmt.Errorf("first byte on a detour is 0x%02x", first[0])
	}
}

func isDetour(conn net.Conn) bool {
	_, ok := conn.(*detour.Conn)
	return ok
}

// begin counts something that may begin connections, unless the proxy has stopped. The caller calls conns.Done.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return false
	}
	p.conns.Add(1)
	return true
}

// wait returns when no connection is left.
func (p *Proxy) wait() {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	p.conns.Wait()
}
