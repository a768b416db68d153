package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/agent"
	"sallyport/internal/audit"
	"sallyport/internal/audit/spool"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/ca"
	"sallyport/internal/cache"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/session"
	"sallyport/internal/tunnel"
)

const (
	cluster = "test.local"
	hostID  = "11111111-1111-4111-8111-111111111111"
)

// authority answers an agent as the auth server does, and does wrong what a test asks for.
type authority struct {
	sallyportv1connect.UnimplementedResourceServiceHandler
	sallyportv1connect.UnimplementedCertificateServiceHandler
	sallyportv1connect.UnimplementedAuditServiceHandler
	sallyportv1connect.UnimplementedDatabaseServiceHandler
	host, user *ca.Authority
	spool      string                               // directory of agents' spools; set before they start
	lasts      time.Duration                        // of listeners' certificates; set before agents start
	checks     chan *sallyportv1.DatabaseCheck      // to be made
	reports    chan *sallyportv1.ReportCheckRequest // of checks

	mu      sync.Mutex
	stored  []resource.Resource          // what agents watch
	watches []chan resource.Resource     // of running watches
	servers map[string]resource.Resource // heartbeats by kind and name
	put     func(ctx context.Context, r resource.Resource) error
	sign    func() error
	submit  func(*sallyportv1.SubmitEventsRequest) error
	away    chan struct{} // closed while nobody can watch
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{servers: make(map[string]resource.Resource), away: make(chan struct{}), spool: filepath.Join(t.TempDir(), "spool"),
		lasts: 24 * time.Hour, checks: make(chan *sallyportv1.DatabaseCheck), reports: make(chan *sallyportv1.ReportCheckRequest, 1)}
	for typ, to := range map[ca.Type]**ca.Authority{ca.HostCA: &a.host, ca.UserCA: &a.user} {
		made, err := ca.New(typ, cluster, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		*to = made
	}
	return a
}

func (a *authority) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(sallyportv1connect.NewResourceServiceHandler(a))
	mux.Handle(sallyportv1connect.NewCertificateServiceHandler(a))
	mux.Handle(sallyportv1connect.NewAuditServiceHandler(a))
	mux.Handle(sallyportv1connect.NewDatabaseServiceHandler(a))
	return mux
}

// set changes how calls are answered.
func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// store makes a resource known to those who watch.
func (a *authority) store(t *testing.T, yaml string) {
	t.Helper()
	all, err := resource.ParseYAML([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored = append(a.stored, all...)
	for _, watch := range a.watches {
		for _, r := range all {
			watch <- r
		}
	}
}

// server returns the heartbeat of a database, or nil.
func (a *authority) server(name string) *resource.DatabaseServer {
	a.mu.Lock()
	defer a.mu.Unlock()
	server, _ := a.servers[resource.KindDatabaseServer+"/"+name].(*resource.DatabaseServer)
	return server
}

var errAway = connect.NewError(connect.CodeUnavailable, errors.New("away"))

func (a *authority) WatchResources(ctx context.Context, _ *sallyportv1.WatchResourcesRequest, stream *connect.ServerStream[sallyportv1.WatchResourcesResponse]) error {
	send := func(r resource.Resource) error {
		json, err := resource.Encode(r)
		if err != nil {
			return err
		}
		return stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_PUT,
			Resource: &sallyportv1.Resource{Kind: r.GetKind(), Name: r.GetName(), Json: json}})
	}
	changes := make(chan resource.Resource, 16)
	a.mu.Lock()
	stored, away := a.stored, a.away
	a.watches = append(a.watches, changes)
	a.mu.Unlock()
	select {
	case <-away:
		return errAway
	default:
	}
	for _, r := range stored {
		if err := send(r); err != nil {
			return err
		}
	}
	if err := stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_SYNCED}); err != nil {
		return err
	}
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-away:
			return errAway
		case r := <-changes:
			err = send(r)
		case <-alive.C:
			err = stream.Send(&sallyportv1.WatchResourcesResponse{Change: sallyportv1.WatchResourcesResponse_CHANGE_ALIVE})
		}
		if err != nil {
			return err
		}
	}
}

func (a *authority) PutResource(ctx context.Context, req *sallyportv1.PutResourceRequest) (*sallyportv1.PutResourceResponse, error) {
	r, err := resource.Decode(req.GetResource().GetKind(), req.GetResource().GetJson())
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	put := a.put
	a.mu.Unlock()
	if put != nil {
		err = put(ctx, r)
	}
	if err != nil {
		return nil, authapi.ToWire(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.servers[r.GetKind()+"/"+r.GetName()] = r
	return &sallyportv1.PutResourceResponse{}, nil
}

func (a *authority) DeleteResource(_ context.Context, req *sallyportv1.DeleteResourceRequest) (*sallyportv1.DeleteResourceResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.servers, req.GetKind()+"/"+strings.TrimSuffix(req.GetName(), "/"+hostID))
	return &sallyportv1.DeleteResourceResponse{}, nil
}

func (a *authority) SignListenerCertificate(_ context.Context, req *sallyportv1.SignListenerCertificateRequest) (*sallyportv1.SignListenerCertificateResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sign != nil {
		if err := a.sign(); err != nil {
			return nil, authapi.ToWire(err)
		}
	}
	key, err := ca.ParsePublicKey(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, service := range req.GetDatabaseServices() {
		hosts = append(hosts, route.ServerName(service, cluster))
	}
	der, err := a.host.Sign(ca.Request{PublicKey: key, Hosts: hosts, NotAfter: time.Now().Add(a.lasts),
		Subject:     (&identity.Identity{Name: hostID, Cluster: cluster}).Subject(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, time.Now())
	return &sallyportv1.SignListenerCertificateResponse{Certificate: ca.EncodeCertificate(der)}, err
}

func (a *authority) SubmitEvents(_ context.Context, req *sallyportv1.SubmitEventsRequest) (*sallyportv1.SubmitEventsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.submit != nil {
		if err := a.submit(req); err != nil {
			return nil, authapi.ToWire(err)
		}
	}
	return &sallyportv1.SubmitEventsResponse{}, nil
}

func (a *authority) FollowChecks(ctx context.Context, _ *sallyportv1.FollowChecksRequest, stream *connect.ServerStream[sallyportv1.FollowChecksResponse]) error {
	for {
		select {
		case check := <-a.checks:
			if err := stream.Send(&sallyportv1.FollowChecksResponse{Check: check}); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *authority) ReportCheck(_ context.Context, req *sallyportv1.ReportCheckRequest) (*sallyportv1.ReportCheckResponse, error) {
	a.reports <- req
	return &sallyportv1.ReportCheckResponse{}, nil
}

func (a *authority) trust() *mtls.Trust {
	return &mtls.Trust{Cluster: cluster, Authorities: map[ca.Type][]*x509.Certificate{
		ca.HostCA: {a.host.Cert}, ca.UserCA: {a.user.Cert}}}
}

// certificate signs a certificate for an identity.
func (a *authority) certificate(t *testing.T, id *identity.Identity) *tls.Certificate {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: key.Public(), Subject: id.Subject(), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	request.Extensions = append(request.Extensions, extension)
	signer := a.user
	if id.Kind == identity.Host {
		signer = a.host
	}
	der, err := signer.Sign(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// running is an agent that runs until stop is called or the test ends.
type running struct {
	*agent.Agent
	auth *authority
	log  *logBuffer
	stop func()
}

// start runs an agent of the authority's cluster that serves the static databases.
func (a *authority) start(t *testing.T, change func(*agent.Config), static ...*resource.Database) *running {
	t.Helper()
	local, client := authapi.NewLocal(a.handler(), &identity.Identity{Kind: identity.Host, Name: hostID, SystemRoles: []string{"Db"}})
	log := &logBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	journal, err := spool.Open(spool.Config{Dir: a.spool, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	host := a.certificate(t, &identity.Identity{Kind: identity.Host, Cluster: cluster, Name: hostID, SystemRoles: []string{"Db"}})
	cfg := agent.Config{
		HostID: hostID, Hostname: "agent", Version: "test", Cluster: cluster, Auth: client,
		HostCert: func(string) (*tls.Certificate, error) { return host, nil }, Trust: a.trust,
		Cache: cache.New(client.Resources, agent.Kinds, time.Now, logger), Spool: journal, UIDs: audit.NewUIDs(rand.Reader),
		Engines: map[string]agent.Protocol{"postgres": {Engine: teller{}}}, Static: static,
		Dial:   func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no database") },
		Logger: logger, Now: time.Now, Credentials: noCredentials{},
	}
	if change != nil {
		change(&cfg)
	}
	r := &running{Agent: agent.New(cfg), auth: a, log: log}
	base, stopCache := context.WithCancel(context.Background())
	ctx, stopAgent := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = cfg.Cache.Run(base) })
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, ctx) }()
	r.stop = sync.OnceFunc(func() {
		stopAgent()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stopCache()
		parts.Wait()
		local.Close()
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return r
}

// visit connects as the user of a certificate and returns what the agent says.
func (r *running) visit(t *testing.T, service string, id *identity.Identity, protocols ...string) string {
	t.Helper()
	ours, theirs := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() {
		r.Serve(t.Context(), theirs, tunnel.Dispatch{ClientAddress: "192.0.2.1:1234", ListenerAddress: "192.0.2.2:443"}, func() {})
	})
	defer served.Wait()
	defer ours.Close()
	client := tls.Client(ours, mtls.Named(route.ServerName(service, cluster), r.auth.trust().Pool(ca.HostCA), r.auth.certificate(t, id), protocols...))
	if err := client.HandshakeContext(t.Context()); err != nil {
		return err.Error()
	}
	said, err := io.ReadAll(client)
	if len(said) == 0 && err != nil {
		return err.Error()
	}
	return string(said)
}

// alice is a user with a certificate for a database.
func alice(service string, roles ...string) *identity.Identity {
	return &identity.Identity{Kind: identity.User, Cluster: cluster, Name: "alice", Roles: roles,
		Route: &identity.Route{Service: service, Protocol: "postgres"}}
}

// noCredentials is where every session that is allowed ends.
type noCredentials struct{}

func (noCredentials) Credential(context.Context, cred.Request) (*cred.Credential, error) {
	return nil, fault.New(fault.Internal, "allowed")
}

// teller is an engine that tells its client how opening went.
type teller struct{}

func (teller) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	_, err := s.Open(ctx, session.Want{User: "postgres", Name: "postgres"})
	text := "opened"
	if err != nil {
		text = fault.Message(err)
	}
	_, writeErr := io.WriteString(client, text)
	return errors.Join(err, writeErr)
}

// database returns a PostgreSQL database with labels that commands make.
func database(t *testing.T, name string, commands map[string][]string) *resource.Database {
	t.Helper()
	r, err := resource.New(resource.KindDatabase)
	if err != nil {
		t.Fatal(err)
	}
	db := r.(*resource.Database)
	db.Metadata.Name, db.Spec.Protocol, db.Spec.URI = name, "postgres", "127.0.0.1:1"
	for label, command := range commands {
		if db.Spec.DynamicLabels == nil {
			db.Spec.DynamicLabels = resource.DynamicLabels{}
		}
		db.Spec.DynamicLabels[label] = resource.DynamicLabel{Period: resource.Duration(time.Hour), Command: command}
	}
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

// patience is how long a busy machine may take for what takes moments.
const patience = 2 * time.Minute

// eventually waits until the check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if check() {
			return
		}
	}
	t.Fatalf("%s: not in time", what)
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
