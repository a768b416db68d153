package detour_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/detour"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/realserver"
)

// front is what answers at an address: a cluster directly, or a balancer in front of one.
type front struct {
	listener net.Listener
	address  string
	dialled  atomic.Int32 // TCP connections
	detours  atomic.Int32 // requests for them
}

func newFront(t *testing.T) *front {
	t.Helper()
	port, err := realserver.FreePort() // to listen at again
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return &front{listener: listener, address: listener.Addr().String()}
}

// cluster is an auth server, as far as TLS goes.
type cluster struct {
	authority *ca.Authority
	cert      *tls.Certificate
}

func newCluster(t *testing.T, name string, life time.Duration) *cluster {
	t.Helper()
	made, err := ca.New(ca.HostCA, name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{Kind: identity.Host, Cluster: name, Name: "22222222-2222-4222-8222-222222222222", SystemRoles: []string{"Auth"}}
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: key.Public(), Subject: id.Subject(), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(life)}
	request.Extensions = append(request.Extensions, extension)
	der, err := made.Sign(request, time.Now().Add(min(0, 2*life)))
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{made, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// client is what members of the cluster use.
func (c *cluster) client() *tls.Config {
	trust := &mtls.Trust{Cluster: "test.local", Authorities: map[ca.Type][]*x509.Certificate{ca.HostCA: {c.authority.Cert}}}
	return mtls.Client(nil, func() *mtls.Trust { return trust }, "Auth", "auth.test.local", mtls.ProtocolAuth, mtls.ProtocolHTTP2)
}

// answer shows the cluster's certificate.
func (c *cluster) answer(conn net.Conn) {
	defer conn.Close()
	_ = tls.Server(conn, mtls.Web(func(string) (*tls.Certificate, error) { return c.cert, nil }, mtls.ProtocolHTTP2)).Handshake()
}

// answerAll has whatever comes answered until the test ends.
func answerAll(t *testing.T, listener net.Listener, answer func(net.Conn)) {
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { answer(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
}

// balance puts a balancer with the web certificate in front of the cluster.
func (f *front) balance(t *testing.T, c *cluster, web *tls.Certificate) {
	var inner sync.WaitGroup
	t.Cleanup(inner.Wait)
	detours := accepting(t, func(conn *detour.Conn) { inner.Go(func() { c.answer(conn) }) })
	serveWeb(t, f.listener, web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.detours.Add(1); r.URL.Path != detour.Path {
			t.Errorf("asked for %s", r.URL.Path)
		}
		detours.ServeHTTP(w, r)
	}), mtls.ProtocolHTTP2, mtls.ProtocolHTTP)
}

// dialer returns a dialer that trusts the web authority.
func (f *front) dialer(mode detour.Mode, web *ca.Authority, now func() time.Time) *detour.Dialer {
	return detour.New(detour.Config{Mode: mode, Now: now,
		TCP: func(ctx context.Context, address string) (net.Conn, error) {
			f.dialled.Add(1)
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
		Web: func(host string) *tls.Config { return mtls.Named(host, pool(web), nil, mtls.ProtocolHTTP) },
	})
}

func TestDetourIsMadeWhereSomethingElseEndsTLS(t *testing.T) {
	t.Parallel()
	ours, web := newCluster(t, "test.local", time.Hour), authority(t)
	cert := sign(t, web, []string{"127.0.0.1"})
	agents := sign(t, authority(t), []string{"x.db.test.local"})
	postgres := func() *tls.Config {
		return mtls.Named("x.db.test.local", pool(ours.authority), nil, "teleport-postgres")
	}
	show := func(cert *tls.Certificate, protocols ...string) func(*testing.T, *front) {
		return func(t *testing.T, f *front) {
			answerAll(t, f.listener, func(conn net.Conn) {
				defer conn.Close()
				_ = tls.Server(conn, mtls.Web(func(string) (*tls.Certificate, error) { return cert, nil }, protocols...)).Handshake()
			})
		}
	}
	for name, c := range map[string]struct {
		serve   func(t *testing.T, f *front)
		tls     *tls.Config
		mode    detour.Mode
		detours int32  // that were asked for
		dialled int32  // connections in all
		want    string // in the error; empty: it works
	}{
		"the cluster answers itself":                     {serve: func(t *testing.T, f *front) { answerAll(t, f.listener, ours.answer) }, dialled: 1},
		"a balancer answers":                             {serve: func(t *testing.T, f *front) { f.balance(t, ours, cert) }, detours: 1, dialled: 2},
		"a balancer answers, and detours are forbidden":  {serve: func(t *testing.T, f *front) { f.balance(t, ours, cert) }, mode: detour.Never, dialled: 1, want: "no identity"},
		"a balancer answers, as was known":               {serve: func(t *testing.T, f *front) { f.balance(t, ours, cert) }, mode: detour.Always, detours: 1, dialled: 1},
		"a balancer that wants none of our protocols":    {serve: func(t *testing.T, f *front) { f.balance(t, ours, cert) }, tls: postgres(), detours: 1, dialled: 2, want: "no application protocol"},
		"the certificate of the cluster has expired":     {serve: show(newCluster(t, "test.local", -time.Hour).cert, mtls.ProtocolHTTP2), dialled: 1, want: "compare the clocks"},
		"another cluster's certificate":                  {serve: show(newCluster(t, "other.local", time.Hour).cert, mtls.ProtocolHTTP2), dialled: 1, want: "unknown authority"},
		"an agent's certificate of an unknown authority": {serve: show(agents, "teleport-postgres"), tls: postgres(), dialled: 1, want: "unknown authority"},
		"nobody serves the database":                     {serve: func(t *testing.T, f *front) { answerAll(t, f.listener, func(conn net.Conn) { _ = conn.Close() }) }, dialled: 1, want: "EOF|reset"},
		"the balancer's certificate is not trusted":      {serve: func(t *testing.T, f *front) { f.balance(t, ours, sign(t, authority(t), []string{"127.0.0.1"})) }, dialled: 2, want: "unknown authority"},
		"the balancer's certificate has another name":    {serve: func(t *testing.T, f *front) { f.balance(t, ours, sign(t, web, []string{"192.0.2.1"})) }, dialled: 2, want: "valid for 192.0.2.1, not 127.0.0.1"},
		"another web server":                             {serve: func(t *testing.T, f *front) { serveWeb(t, f.listener, cert, http.NotFoundHandler(), "h2", "http/1.1") }, dialled: 2, want: "answered a request for a detour with status 404"},
		"a web server that sends elsewhere": {serve: func(t *testing.T, f *front) {
			serveWeb(t, f.listener, cert, http.RedirectHandler("https://192.0.2.1/", http.StatusFound), "h2", "http/1.1")
		}, dialled: 2, want: "with status 302"},
		"another cluster behind the balancer":          {serve: func(t *testing.T, f *front) { f.balance(t, newCluster(t, "other.local", time.Hour), cert) }, detours: 1, dialled: 2, want: "unknown authority"},
		"the cluster itself, where detours come first": {serve: func(t *testing.T, f *front) { answerAll(t, f.listener, ours.answer) }, mode: detour.Always, dialled: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			c.serve(t, f)
			cfg := c.tls
			if cfg == nil {
				cfg = ours.client()
			}
			conn, err := f.dialer(c.mode, web, time.Now).DialTLS(t.Context(), f.address, cfg)
			if err == nil {
				_ = conn.Close()
			}
			if n := f.detours.Load(); n != c.detours {
				t.Errorf("%d detours were asked for: %v", n, err)
			}
			if n := f.dialled.Load(); n != c.dialled {
				t.Errorf("%d connections: %v", n, err)
			}
			if (err == nil) != (c.want == "") || err != nil && !containsOne(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func containsOne(text, alternatives string) bool {
	for one := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

func TestBothFailuresAreKnown(t *testing.T) {
	t.Parallel()
	f, web := newFront(t), authority(t)
	f.balance(t, newCluster(t, "test.local", time.Hour), sign(t, authority(t), []string{"127.0.0.1"}))
	_, err := f.dialer(detour.WhenNeeded, web, time.Now).DialTLS(t.Context(), f.address, mtls.Pinned([]string{"sha256:00"}, mtls.ProtocolAuth, mtls.ProtocolHTTP2))
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !errors.Is(err, mtls.ErrPin) {
		t.Fatalf("got %v", err)
	}
}

func TestTheWayIsRemembered(t *testing.T) {
	t.Parallel()
	ours, web := newCluster(t, "test.local", time.Hour), authority(t)
	f := newFront(t)
	f.balance(t, ours, sign(t, web, []string{"127.0.0.1"}))
	now := time.Now()
	d := f.dialer(detour.WhenNeeded, web, func() time.Time { return now })
	dial := func(why string, want int32) {
		t.Helper()
		before := f.dialled.Load()
		conn, err := d.DialTLS(t.Context(), f.address, ours.client())
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		_ = conn.Close()
		if n := f.dialled.Load() - before; n != want {
			t.Errorf("%s: %d connections, want %d", why, n, want)
		}
	}
	raw := func(why string, want bool) {
		t.Helper()
		conn, err := d.Dial(t.Context(), f.address)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		_ = conn.Close()
		if _, ok := conn.(*detour.Conn); ok != want || d.Detours(f.address) != want {
			t.Errorf("%s: got a %T", why, conn)
		}
	}
	raw("before anything is known", false)
	dial("the first time", 2)
	raw("what is not TLS goes the same way", true)
	dial("the second time", 1)
	now = now.Add(29 * time.Minute)
	dial("half an hour later", 1)
	now = now.Add(time.Hour)
	raw("what is not TLS does so even later", true)
	dial("after an hour", 2)
	dial("and again", 1)

	// The balancer goes, and the cluster answers itself at its address.
	_ = f.listener.Close()
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	answerAll(t, listener, ours.answer)
	dial("without the balancer", 2)
	raw("what is not TLS", false)
	dial("and once more", 1)

	known := f.dialer(detour.WhenNeeded, web, time.Now)
	known.Remember(f.address)
	if !known.Detours(f.address) {
		t.Error("what was told is not remembered")
	}
	forbidden := f.dialer(detour.Never, web, time.Now)
	forbidden.Remember(f.address)
	if forbidden.Detours(f.address) {
		t.Error("a detour that is forbidden is remembered")
	}
}

func TestSilentServerIsNotWaitedForLongerThanTheCallerDoes(t *testing.T) {
	t.Parallel()
	f, web := newFront(t), authority(t)
	release := make(chan struct{})
	serveWeb(t, f.listener, sign(t, web, []string{"127.0.0.1"}), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), "http/1.1")
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := f.dialer(detour.Always, web, time.Now).Dial(ctx, f.address); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestVariable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]detour.Mode{
		"": detour.WhenNeeded, "yes": detour.Always, "TRUE": detour.Always, "1": detour.Always, "no": detour.Never, "False": detour.Never,
	} {
		if mode, err := detour.ParseMode(text); mode != want || err != nil {
			t.Errorf("%q: %v, %v", text, mode, err)
		}
	}
	if _, err := detour.ParseMode("perhaps"); err == nil || !strings.Contains(err.Error(), `TELEPORT_TLS_ROUTING_CONN_UPGRADE="perhaps": set it to yes or no`) {
		t.Errorf("got %v", err)
	}
}
