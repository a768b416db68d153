package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/admission"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/ca"
	"sallyport/internal/cache"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
	"sallyport/internal/proxy"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/store/storetest"
	"sallyport/internal/tunnel"
)

const (
	cluster = "test.local"
	proxyID = "33333333-3333-4333-8333-333333333333"
	service = "orders"

	mysqlVersion = "8.0.36-test"
)

// front is a proxy that serves a port, with a clock that tests move. All its agents serve the database orders.
type front struct {
	addr  string
	mysql string // where clients of MySQL come
	clock *storetest.Clock
	hosts *ca.Authority
	trust *mtls.Trust
}

// start runs a proxy until the test ends. Agents may connect as the hosts; behind a space there may stand how a host finds
// the database.
func start(t *testing.T, hosts ...string) *front {
	t.Helper()
	return startBeside(t, nil, hosts...)
}

// startBeside is start in one process with an agent.
func startBeside(t *testing.T, agent proxy.LocalAgent, hosts ...string) *front {
	t.Helper()
	f := &front{clock: storetest.NewClock()}
	var err error
	if f.hosts, err = ca.New(ca.HostCA, cluster, f.clock.Now()); err != nil {
		t.Fatal(err)
	}
	f.trust = &mtls.Trust{Cluster: cluster, Authorities: map[ca.Type][]*x509.Certificate{ca.HostCA: {f.hosts.Cert}}}
	_, handler := sallyportv1connect.NewResourceServiceHandler(served{t: t, hosts: hosts})
	local, auth := authapi.NewLocal(handler, nil)
	logger := slog.New(slog.DiscardHandler)
	registered := cache.New(auth.Resources, []string{resource.KindDatabaseServer, resource.KindLock}, f.clock.Now, logger)
	cert := f.certificate(t, proxyID, "Proxy")
	p := proxy.New(proxy.Config{
		HostID: proxyID, Cluster: cluster, Auth: auth, Cache: registered, Logger: logger, Now: f.clock.Now,
		HostCert:   func(string) (*tls.Certificate, error) { return cert, nil },
		WebCert:    func(string) (*tls.Certificate, error) { return cert, nil },
		Trust:      func() *mtls.Trust { return f.trust },
		Pages:      http.NotFoundHandler(),
		PassToAuth: func(_ context.Context, conn *mux.Conn, _ *admission.Visitor) { _ = conn.Close() },
		Limits:     admission.Defaults(1000), MySQLVersion: mysqlVersion,
		Local: agent,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	greeter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr, f.mysql = listener.Addr().String(), greeter.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = registered.Run(ctx) })
	parts.Go(func() {
		if err := p.Serve(ctx, ctx, listener, greeter); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		parts.Wait()
		local.Close()
	})
	if err := registered.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *front) certificate(t *testing.T, host, role string) *tls.Certificate {
	t.Helper()
	id := &identity.Identity{Kind: identity.Host, Cluster: cluster, Name: host, SystemRoles: []string{role}}
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: key.Public(), Subject: id.Subject(), NotAfter: f.clock.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	request.Extensions = append(request.Extensions, extension)
	der, err := f.hosts.Sign(request, f.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// served tells who watches that hosts serve the database.
type served struct {
	sallyportv1connect.UnimplementedResourceServiceHandler
	t     *testing.T
	hosts []string
}

func (s served) WatchResources(ctx context.Context, _ *sallyportv1.WatchResourcesRequest, stream *connect.ServerStream[sallyportv1.WatchResourcesResponse]) error {
	for _, host := range s.hosts {
		server := &resource.DatabaseServer{}
		server.SetKind(resource.KindDatabaseServer)
		server.Metadata.Name = service
		database := &resource.Database{}
		database.Metadata.Name = service
		host, health, _ := strings.Cut(host, " ")
		server.Spec = resource.DatabaseServerSpec{HostID: host, Database: database}
		server.Status.TargetHealth.Status = health
		json, err := resource.Encode(server)
		if err != nil {
			return err
		}
		err = stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_PUT,
			Resource: &sallyportv1.Resource{Kind: resource.KindDatabaseServer, Name: service + "/" + host, Json: json}})
		if err != nil {
			return err
		}
	}
	if err := stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_SYNCED}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// agent is the far side of a control connection. It tells clients its host id.
type agent struct {
	host    string
	asked   atomic.Int64 // clients that came
	taken   chan tunnel.Dispatch
	stopped chan struct{} // while it is open, nobody is answered
	heard   chan *sallyportv1.ControlResponse
	stream  *connect.BidiStreamForClientSimple[sallyportv1.ControlRequest, sallyportv1.ControlResponse]
	leave   func()
}

// agent connects an agent until the test ends or it leaves.
func (f *front) agent(t *testing.T, host string) *agent {
	t.Helper()
	a := &agent{host: host, stopped: make(chan struct{}), taken: make(chan tunnel.Dispatch, 100), heard: make(chan *sallyportv1.ControlResponse, 100)}
	cert := f.certificate(t, host, "Db")
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", f.addr) }
	secured := func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
		conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", f.addr)
		if err != nil {
			return nil, err
		}
		return conn.(*tls.Conn), nil
	}
	transport := authapi.NewTransport(secured, mtls.At(f.clock.Now, mtls.Client(func(string) (*tls.Certificate, error) { return cert, nil },
		func() *mtls.Trust { return f.trust }, "Proxy", "proxy."+cluster, mtls.ProtocolTunnel, mtls.ProtocolHTTP2)))
	ctx, stop := context.WithCancel(context.Background())
	var err error
	if a.stream, err = sallyportv1connect.NewTunnelServiceClient(&http.Client{Transport: transport}, "https://proxy").Control(ctx); err == nil {
		err = a.stream.Send(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Heartbeat{}})
	}
	if err != nil {
		t.Fatal(err)
	}
	pool := &tunnel.Pool{
		Dial: dial,
		Admit: func() tunnel.Verdict {
			a.asked.Add(1)
			<-a.stopped
			return tunnel.Accepted
		},
		Serve: func(_ context.Context, conn net.Conn, d tunnel.Dispatch) {
			select {
			case a.taken <- d:
			default: // nobody looks at so many
			}
			_, _ = io.WriteString(conn, host)
			_ = conn.Close()
		},
	}
	ended := make(chan struct{})
	connected := make(chan struct{})
	go func() {
		defer close(ended)
		a.receive(ctx, pool, sync.OnceFunc(func() { close(connected) }))
	}()
	goOn := func() {
		select {
		case <-a.stopped:
		default:
			close(a.stopped)
		}
	}
	a.leave = sync.OnceFunc(func() {
		goOn()
		stop()
		_ = a.stream.CloseRequest()
		<-ended
		pool.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(a.leave)
	<-connected
	return a
}

func (a *agent) receive(ctx context.Context, pool *tunnel.Pool, connected func()) {
	for {
		msg, err := a.stream.Receive()
		if err != nil {
			return
		}
		ticket := msg.GetTicket()
		if ticket == nil {
			if msg.GetHeartbeat() == nil {
				a.heard <- msg
			}
			continue
		}
		if permit, err := tunnel.NewTicket(ticket.GetId(), ticket.GetSecret()); err == nil {
			pool.Use(ctx, ctx, permit, func(error) {})
		}
		connected()
	}
}

// visit opens the database as a client does, as far as a proxy sees it, and returns which agent answers; empty when the
// proxy hangs up.
func (f *front) visit(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(clientHello(t)); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// clientHello returns what a client sends first that names the database.
func clientHello(t *testing.T) []byte {
	t.Helper()
	return clientHelloFor(t, route.ServerName(service, cluster))
}

func clientHelloFor(t *testing.T, name string) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	var shaking sync.WaitGroup
	shaking.Go(func() {
		_ = tls.Client(near, &tls.Config{ServerName: name, InsecureSkipVerify: true}).HandshakeContext(t.Context())
	})
	hello, err := mux.ReadHello(far, nil)
	_ = near.Close()
	shaking.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return hello.Raw
}
