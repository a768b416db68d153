package clustertest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/mtls"
)

// balancerSource is where connections of the tests' balancers come from.
const balancerSource = "127.0.0.77"

// balancer ends TLS in front of a proxy, and writes down what it sees then.
type balancer struct {
	address string
	proxy   string // to be set before the first use

	mu       sync.Mutex
	detours  int               // guarded by mu
	upgraded []*upgradedStream // guarded by mu
}

// startBalancer starts one that runs until the test ends.
func startBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancerSource)}}, Config: mtls.ToWeb("localhost", true, mtls.ProtocolHTTP)}
			conn, err := dialer.DialContext(ctx, network, b.proxy)
			if err != nil {
				return nil, err
			}
			stream := &upgradedStream{Conn: conn}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.upgraded = append(b.upgraded, stream)
			return stream, nil
		},
	}
	forward := &httputil.ReverseProxy{
		Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: "proxy"})
			r.SetXForwarded()
			if r.In.URL.Path == detour.Path {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.detours++
			}
		},
	}
	server := httptest.NewUnstartedServer(forward)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	b.address = server.Listener.Addr().String()
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *balancer) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.detours
}

// seen returns what was inside the WebSockets, of both directions.
func (b *balancer) seen(t *testing.T) []byte {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []byte
	for _, stream := range b.upgraded {
		stream.mu.Lock()
		for _, direction := range [][]byte{stream.sent.Bytes(), stream.received.Bytes()} {
			all = append(all, payloads(t, direction)...)
		}
		stream.mu.Unlock()
	}
	return all
}

// upgradedStream keeps what goes through it.
type upgradedStream struct {
	net.Conn
	mu             sync.Mutex
	sent, received bytes.Buffer // guarded by mu
}

func (s *upgradedStream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received.Write(p[:n])
	return n, err
}

func (s *upgradedStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.sent.Write(p)
	s.mu.Unlock()
	return s.Conn.Write(p)
}

// payloads returns what the messages of one direction carry, after the head of HTTP (RFC 6455, section 5.2).
func payloads(t *testing.T, direction []byte) (all []byte) {
	_, frames, upgraded := bytes.Cut(direction, []byte("\r\n\r\n"))
	if !upgraded || !bytes.Contains(direction, []byte("Sec-Websocket-")) && !bytes.Contains(direction, []byte("Sec-WebSocket-")) {
		return direction // a page
	}
	for len(frames) >= 2 {
		size, masked, rest := int(frames[1]&0x7f), frames[1]&0x80 != 0, frames[2:]
		switch size {
		case 126:
			size, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
		case 127:
			size, rest = int(binary.BigEndian.Uint64(rest)), rest[8:]
		}
		mask := []byte{0, 0, 0, 0}
		if masked {
			mask, rest = rest[:4], rest[4:]
		}
		for i, b := range rest[:min(size, len(rest))] {
			all = append(all, b^mask[i%4])
		}
		frames = rest[min(size, len(rest)):]
	}
	return all
}

// connectBy opens a session as the local proxy does, and waits until the database is served.
func (s *scene) connectBy(t *testing.T, dialer *detour.Dialer) *pgx.Conn {
	t.Helper()
	var conn *pgx.Conn
	clustertest.Eventually(t, "a session", func() error {
		login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		if err != nil {
			return err
		}
		inner, err := login.DatabaseTLS()
		if err != nil {
			return err
		}
		cfg, err := pgx.ParseConfig("postgres://postgres@127.0.0.1:1/postgres?sslmode=disable")
		if err != nil {
			return err
		}
		cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialTLS(ctx, s.Proxy, inner) }
		conn, err = pgx.ConnectConfig(t.Context(), cfg)
		return err
	})
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// behind starts a scene whose cluster, agent and user know the balancer's address only.
func behind(t *testing.T, b *balancer, change func(cfg *config.Config)) *scene {
	t.Helper()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		b.proxy, cfg.Proxy.PublicAddrs = cfg.Proxy.ListenAddr, []string{b.address}
		if change != nil {
			change(cfg)
		}
	}})}
	s.pg = startPostgres(t, s.Cluster)
	s.Apply(t, dbRole)
	s.Proxy = b.address
	s.agent = s.StartAgent(t, func(cfg *config.Config) { cfg.Insecure = true }, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	return s
}

func TestMainJobBehindABalancer(t *testing.T) {
	t.Parallel()
	b := startBalancer(t)
	s := behind(t, b, nil)
	dialer := clustertest.NewDialer()
	conn := s.connectBy(t, dialer)
	if !dialer.Detours(b.address) {
		t.Error("the balancer was passed by")
	}
	const statement = "select 'not for balancers' || length(repeat('x', 3000000))"
	var got string
	if err := conn.QueryRow(t.Context(), statement).Scan(&got); err != nil || got != "not for balancers3000000" {
		t.Fatalf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := conn.Exec(ctx, "select pg_sleep(60)"); err == nil || ctx.Err() == nil {
		t.Fatalf("cancelling: %v", err)
	}
	_ = conn.Close(t.Context())
	clustertest.Eventually(t, "the session is in the log", func() error {
		if len(s.Events(t, []string{"db.session.query"}, "not for balancers")) != 1 || len(s.Events(t, []string{"db.session.end"}, `"user":"alice"`)) == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	if starts := s.Events(t, []string{"db.session.start"}, `"addr.remote":"`+balancerSource+":"); len(starts) == 0 {
		t.Error("what a balancer says about its clients was believed")
	}
	seen := b.seen(t)
	if !bytes.Contains(seen, []byte{0x16, 3, 1}) || bytes.Contains(seen, []byte("not for balancers")) || bytes.Contains(seen, []byte(clustertest.StaticToken)) {
		t.Errorf("of %d bytes, the balancer saw no TLS, or the statement or the token", len(seen))
	}
	if strings.Contains(s.Log(), "error=\"plain HTTP\"") || b.count() == 0 {
		t.Errorf("%d detours:\n%s", b.count(), s.Log())
	}
}

func TestSessionsOnDetoursEndWithTheProxy(t *testing.T) {
	t.Parallel()
	s := behind(t, startBalancer(t), nil)
	conn := s.connectBy(t, clustertest.NewDialer())
	works(t, conn)
	s.Drain()
	clustertest.Eventually(t, "no new sessions are taken", func() error {
		conn, err := tls.Dial("tcp", s.Config.Proxy.ListenAddr, mtls.ToWeb("x", true, mtls.ProtocolHTTP))
		if err == nil {
			_ = conn.Close()
			return errors.New("the proxy answers")
		}
		return nil
	})
	works(t, conn)
	s.Stop(t)
	if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
		t.Error("the session outlives the proxy")
	}
}

func TestProxyThatIsReachedDirectlyTakesNoDetours(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.connectBy(t, clustertest.NewDialer()))
	if strings.Contains(s.Log(), "msg=detour") {
		t.Error(s.Log())
	}
}

// TestParkedConnectionsOnDetoursAreNoVisitors has sessions whose connections at both sides of the proxy are more than
// the balancer's address may have.
func TestParkedConnectionsOnDetoursAreNoVisitors(t *testing.T) {
	t.Parallel()
	s := behind(t, startBalancer(t), func(cfg *config.Config) { cfg.MaxConnections = 24 })
	dialer := clustertest.NewDialer()
	var sessions []*pgx.Conn
	for range 12 {
		sessions = append(sessions, s.connectBy(t, dialer))
	}
	for _, conn := range sessions {
		works(t, conn)
	}
}

// detourFrom opens a detour from an address, directly to the proxy.
func detourFrom(t *testing.T, proxy, from string) (net.Conn, error) {
	t.Helper()
	conn, err := dialerFrom(from, detour.Always).Dial(t.Context(), proxy)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// TestStrangersOnDetoursAreStrangers opens more detours than one source may have strangers, each in the middle of a
// handshake with auth, which is waited for for half a minute. The oldest are closed for the newest.
func TestStrangersOnDetoursAreStrangers(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	hello := &firstWrite{}
	_ = tls.Client(hello, mtls.ToWeb("auth", true, mtls.ProtocolAuth, mtls.ProtocolHTTP2)).HandshakeContext(t.Context())
	const allowed, tried = 100, 120
	var conns []net.Conn
	for range tried {
		conn, err := detourFrom(t, c.Proxy, "127.0.0.66")
		if err != nil {
			t.Fatalf("who comes later is kept out: %v", err)
		}
		if _, err := conn.Write(hello.sent); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	soon := time.Now().Add(5 * time.Second) // before anybody is tired of the others
	for i, conn := range conns[:tried-allowed] {
		_ = conn.SetReadDeadline(soon)
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("detour %d is still open", i)
		}
	}
	answer := make([]byte, 1)
	_ = conns[tried-1].SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := conns[tried-1].Read(answer); err != nil || answer[0] != 0x16 {
		t.Errorf("the newest detour: %x, %v", answer, err)
	}
}

// firstWrite keeps what is written to it first, and is broken then.
type firstWrite struct {
	net.Conn
	sent []byte
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.sent = append(w.sent, p...)
	return 0, io.ErrClosedPipe
}

func (w *firstWrite) Close() error { return nil }

func TestSilentDetoursAreEnded(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	silent, err := detourFrom(t, c.Proxy, "127.0.0.66")
	if err != nil {
		t.Fatal(err)
	}
	_ = silent.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("it stays: %v", err)
	}
}

func TestDetoursLeadToTheClusterOnly(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	for name, say := range map[string]func(conn net.Conn) error{
		"a detour inside a detour": func(conn net.Conn) error {
			inner := tls.Client(conn, mtls.ToWeb("localhost", true, mtls.ProtocolHTTP))
			if err := inner.HandshakeContext(t.Context()); err == nil {
				return errors.New("a web page was offered")
			}
			return nil
		},
		"PostgreSQL in the clear": func(conn net.Conn) error { return sendsNothingBack(conn, startup(80877103, "")) },
		"plain HTTP":              func(conn net.Conn) error { return sendsNothingBack(conn, []byte("GET / HTTP/1.1\r\n\r\n")) },
		"a ticket that is none": func(conn net.Conn) error {
			return sendsNothingBack(conn, append([]byte("\xf5SPT\x01"), make([]byte, 48)...))
		},
	} {
		conn, err := detourFrom(t, c.Proxy, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
		if err := say(conn); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	clustertest.Eventually(t, "the log says why", func() error {
		if !strings.Contains(c.Log(), "to no pages or further detours") {
			return errors.New("it does not")
		}
		return nil
	})
}

func sendsNothingBack(conn net.Conn, message []byte) error {
	if _, err := conn.Write(message); err != nil {
		return err
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		return fmt.Errorf("answered %q, %v", got, err)
	}
	return nil
}

// TestBalancersThatAreNamedAreBelieved compares what balancers say with what the log of sessions has.
func TestBalancersThatAreNamedAreBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ named, want string }{
		"the balancer":     {balancerSource + "/32", "127.0.0.1:"},
		"another balancer": {"127.0.0.78/32", balancerSource + ":"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := behind(t, startBalancer(t), func(cfg *config.Config) { cfg.Proxy.Balancers = []netip.Prefix{netip.MustParsePrefix(c.named)} })
			works(t, s.connectBy(t, clustertest.NewDialer()))
			clustertest.Eventually(t, "the start is in the log", func() error {
				starts := s.Events(t, []string{"db.session.start"})
				if len(starts) == 0 {
					return errors.New("it is not")
				}
				if !strings.Contains(starts[0], `"addr.remote":"`+c.want) {
					t.Fatalf("it is not from %s: %s", c.want, starts[0])
				}
				return nil
			})
		})
	}
}

func TestHeadersOfBalancersAreReadStrictly(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		cfg.Proxy.Balancers = []netip.Prefix{netip.MustParsePrefix(balancerSource + "/32")}
	}})
	const header = "X-Forwarded-For: "
	for _, one := range []struct {
		rule, from, headers string
		status              int
	}{
		{"one address", balancerSource, header + "198.51.100.1\r\n", 200},
		{"one address with a port", balancerSource, header + "[2001:db8::1]:4711\r\n", 200},
		{"none, as in a health check", balancerSource, "", 200},
		{"two addresses", balancerSource, header + "198.51.100.1, 198.51.100.2\r\n", 400},
		{"two headers", balancerSource, header + "198.51.100.1\r\n" + header + "198.51.100.2\r\n", 400},
		{"no address", balancerSource, header + "unknown\r\n", 400},
		{"nothing", balancerSource, header + "\r\n", 400},
		{"two addresses from a stranger", "127.0.0.79", header + "198.51.100.1, 198.51.100.2\r\n", 200},
	} {
		conn := tls.Client(dialFrom(t, c.Proxy, one.from), mtls.ToWeb("localhost", true, mtls.ProtocolHTTP))
		_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
		if _, err := fmt.Fprintf(conn, "GET /webapi/ping HTTP/1.1\r\nHost: proxy\r\n%s\r\n", one.headers); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != one.status {
			t.Errorf("%s: answered %s", one.rule, answer.Status)
		}
	}
}
