// Package proxy is the cluster's door to the network: one port for pages, API, tunnels and databases, and if wanted
// another one for clients of MySQL, who have to be greeted first.
//
// It tells connections apart by their first bytes. A database session is handed, unread beyond its
// ClientHello, to an agent that serves the database; its TLS ends at the agent. The proxy decides nothing
// about access and holds no secret of anybody's session.
package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/admission"
	"sallyport/internal/authapi"
	"sallyport/internal/cache"
	"sallyport/internal/cancelkey"
	"sallyport/internal/identity"
	"sallyport/internal/introduction"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/proxyheader"
	"sallyport/internal/tunnel"
)

// Config is what a Proxy is made of. All fields must be set unless stated.
type Config struct {
	HostID   string
	Cluster  string
	Auth     *authapi.Client // as this host
	HostCert mtls.Certificate
	WebCert  mtls.Certificate
	Trust    mtls.Source
	Cache    *cache.Cache // of db_server and lock
	// PassToAuth takes a connection whose client wants the auth server, end to end; it owns the connection.
	PassToAuth func(ctx context.Context, conn *mux.Conn, visitor *admission.Visitor)
	// Local is the agent in the same process; nil without one.
	Local LocalAgent
	// Pages serves what browsers and tsh ask for over HTTPS.
	Pages http.Handler
	// Limits of the connections that the port holds open.
	Limits admission.Limits
	// EndToEndOnly turns away clients that cannot name their database in the ClientHello: for them TLS would
	// have to end here.
	EndToEndOnly bool
	// Balancers are believed when they say in X-Forwarded-For whom a request is from; may be empty.
	Balancers []netip.Prefix
	// HeadersFrom are the peers, balancers at layer 4, whose connections begin with a PROXY header, which says where the
	// client is; may be empty. Nobody else may send one.
	HeadersFrom []netip.Prefix
	// MySQLVersion is what clients of MySQL are told that is at their port; empty means mysqlwire.AssumedVersion.
	MySQLVersion string
	Logger       *slog.Logger
	Now          func() time.Time
}

// LocalAgent is an agent in the same process.
type LocalAgent interface {
	// Serve serves a client's connection, which it owns. Authenticated is called when the client's TLS
	// handshake has succeeded.
	Serve(ctx context.Context, conn net.Conn, d tunnel.Dispatch, authenticated func())
	// ServeTerminated is Serve for a client whose TLS the proxy has ended, and for whom it got the certificate of this one
	// session, which must be as valid as if it came in TLS. The name is that of the database.
	ServeTerminated(ctx context.Context, client *tls.Conn, session *x509.Certificate, serverName string, d tunnel.Dispatch)
	// FindCancel returns what cancels what the session of the key is running, or nil if it is none of this agent's.
	FindCancel(key cancelkey.Key) func(context.Context)
	// CancelFound tells the agent that another one knows the key of a request.
	CancelFound(request cancelkey.ID)
}

// Proxy serves its ports. Safe for concurrent use.
type Proxy struct {
	cfg     Config
	hub     tunnel.Hub
	gate    *admission.Gate
	reports *reports
	links   links
	cancels *cancelkey.Limit
	silent  *silent
	headers headerWarnings

	databases directory

	web    *mux.Listener
	tunnel *mux.Listener

	conns    sync.WaitGroup
	mu       sync.Mutex
	stopping bool // no connection may begin that is not within another one; guarded by mu
}

// New returns a proxy that does not serve yet.
func New(cfg Config) *Proxy {
	return &Proxy{
		cfg: cfg, gate: admission.NewGate(cfg.Limits), reports: newReports(), cancels: cancelkey.NewLimit(cfg.Now),
		silent: newSilent(cfg.Now), databases: directory{cache: cfg.Cache},
	}
}

const (
	// firstBytesWait is how long a stranger may take to say what it wants.
	firstBytesWait = 10 * time.Second
	// callTimeout is how long a call of a page or of the public API may take to arrive.
	callTimeout = 30 * time.Second
)

// Serve accepts connections until the context ends, then lets HTTP calls finish for a moment. Sessions of
// databases go on until drain ends; Serve returns when nothing is left. The listener for clients of MySQL may be nil.
func (p *Proxy) Serve(ctx, drain context.Context, listener, mysql net.Listener) error {
	p.web, p.tunnel = mux.NewListener(listener.Addr()), mux.NewListener(listener.Addr())
	webServer := &http.Server{
		Handler: p.webHandler(drain), ConnContext: admission.ConnContext,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: callTimeout, WriteTimeout: 2 * callTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelDebug),
	}
	tunnelServer := &http.Server{
		Handler: admission.Recognise(p.tunnelHandler()), ConnContext: admission.ConnContext, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelDebug),
	}
	var servers sync.WaitGroup
	servers.Go(func() { _ = webServer.Serve(p.web) })       // ends with the listener
	servers.Go(func() { _ = tunnelServer.Serve(p.tunnel) }) // ends with the listener
	accepting, acceptCtx := errgroup.WithContext(ctx)       // when one port fails, all are closed
	accepting.Go(func() error { return p.accept(acceptCtx, drain, listener, p.route) })
	if mysql != nil {
		accepting.Go(func() error { return p.accept(acceptCtx, drain, mysql, p.routeMySQL) })
	}
	err := accepting.Wait()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_ = webServer.Shutdown(shutdown)
	_ = webServer.Close()
	_ = tunnelServer.Close()
	_ = p.web.Close()
	_ = p.tunnel.Close()
	servers.Wait()
	p.wait()
	return err
}

// router finds out what a connection wants. It owns the connection unless it returns an error.
type router func(ctx context.Context, conn net.Conn, visitor *admission.Visitor) error

func (p *Proxy) accept(ctx, drain context.Context, listener net.Listener, route router) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() || isExhausted(err) {
				p.cfg.Logger.Warn("cannot accept connections", "error", err)
				select { // others must end first
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
				continue
			}
			return fmt.Errorf("accepting connections: %w", err)
		}
		p.conns.Go(func() { p.handle(drain, conn, route) })
	}
}

// handle finds out whose a connection is and what it wants, and gives it to whom it concerns. What a balancer passes
// on counts as its client's from the first: all strangers that wait would be its own otherwise.
func (p *Proxy) handle(ctx context.Context, conn net.Conn, route router) {
	p.attend(ctx, conn, func() error {
		conn, err := p.fromBalancer(conn)
		if err != nil {
			return err
		}
		visitor, err := p.gate.Enter(conn)
		if err != nil {
			return err
		}
		defer visitor.Release()
		return route(ctx, conn, visitor)
	})
}

// attend waits a while for a stranger's first bytes, which route reads. Route owns the connection unless it returns
// an error.
func (p *Proxy) attend(ctx context.Context, conn net.Conn, route func() error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(firstBytesWait))
	if err := route(); err != nil {
		p.cfg.Logger.Debug("connection refused", "client", conn.RemoteAddr().String(), "error", err)
		_ = conn.Close()
	}
}

// route reads the first byte and goes on by kind. It owns the connection unless it returns an error.
func (p *Proxy) route(ctx context.Context, conn net.Conn, visitor *admission.Visitor) error {
	if isBalancersOwn(conn) {
		return p.serveOwn(conn, visitor)
	}
	var first [1]byte
	if _, err := conn.Read(first[:]); err != nil {
		return fmt.Errorf("reading first byte: %w", err)
	}
	switch {
	case first[0] == recordHandshake:
		return p.routeTLS(ctx, conn, first[:], visitor, prelude{})
	case first[0] == 0:
		return p.routePostgres(ctx, conn, first[:], visitor)
	case first[0] == tunnel.Magic[0]:
		return p.hub.Park(conn, first[:]) // whoever shows a ticket is no visitor; the rest is closed
	case first[0] == introduction.Magic[0]: // from another proxy, which reaches the auth server through this one
		_ = conn.SetDeadline(time.Time{})
		p.cfg.PassToAuth(ctx, mux.Unread(conn, first[:]), visitor)
		return nil
	case proxyheader.Begins(first[0], conn):
		return p.refuseHeader(conn)
	case first[0] >= 'A' && first[0] <= 'Z':
		_, err := conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS: use an https:// address.\n"))
		return errors.Join(errors.New("plain HTTP"), err)
	default:
		return fmt.Errorf("first byte is 0x%02x", first[0])
	}
}

const recordHandshake = 0x16 // TLS ContentType handshake (RFC 8446, section 5.1)

// tunnelHandler serves agents' control connections: mTLS was done by the listener.
func (p *Proxy) tunnelHandler() http.Handler {
	handler := newTunnelHandler(p)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := mtls.PeerIdentity(r.TLS)
		if err != nil || id == nil || !id.HasSystemRole("Db") {
			http.Error(w, "only agents connect here", http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r.WithContext(identity.NewContext(r.Context(), id)))
	})
}

// serveTLS hands a connection to one of the HTTP servers behind TLS.
// A stranger there is waited for as long as patience says; 0 means for ever.
func (p *Proxy) serveTLS(to *mux.Listener, cfg *tls.Config, conn *mux.Conn, visitor *admission.Visitor, patience time.Duration) {
	_ = conn.SetDeadline(time.Time{})
	to.Hand(tls.Server(visitor.Own(conn, patience), cfg))
}
