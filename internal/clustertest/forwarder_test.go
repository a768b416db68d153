package clustertest_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pires/go-proxyproto"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// forwarder passes connections on as they are, behind what it writes about their clients.
type forwarder struct{ address, proxy string }

// startForwarder starts one in front of a proxy that listens at an address until the test ends.
func startForwarder(t *testing.T, at, proxy string, header func(client net.Conn) string) *forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{address: listener.Addr().String(), proxy: proxy}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { f.forward(ctx, client, header(client)) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		stop()
		work.Wait()
	})
	return f
}

func (f *forwarder) forward(ctx context.Context, client net.Conn, header string) {
	defer client.Close()
	upstream, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancerSource)}}).DialContext(ctx, "tcp", f.proxy)
	if err != nil {
		return
	}
	defer upstream.Close()
	defer context.AfterFunc(ctx, func() { _, _ = client.Close(), upstream.Close() })()
	if _, err := io.WriteString(upstream, header); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, upstream)
		_ = client.Close()
	})
	_, _ = io.Copy(upstream, client)
	_ = upstream.(*net.TCPConn).CloseWrite()
	back.Wait()
}

// headerOf returns a header that names an address.
func headerOf(version byte, client string) string {
	header := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 443})
	data, err := header.Format()
	if err != nil {
		panic(err)
	}
	return string(data)
}

// truthful says where the client is.
func truthful(version byte) func(net.Conn) string {
	return func(client net.Conn) string { return headerOf(version, client.RemoteAddr().String()) }
}

// local is the header of what a balancer sends for itself, in both versions.
var local = []string{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "PROXY UNKNOWN\r\n"}

func withHeaders(cfg *config.Config) {
	cfg.Proxy.HeadersFrom = []netip.Prefix{netip.MustParsePrefix(balancerSource + "/32")}
}

// behindForwarder starts a scene whose agent and user know the address of a balancer at layer 4 only.
func behindForwarder(t *testing.T, version byte) *scene {
	t.Helper()
	address := clustertest.FreeAddr(t)
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		withHeaders(cfg)
		cfg.Proxy.PublicAddrs = []string{address}
	}})}
	s.pg = startPostgres(t, s.Cluster)
	s.Apply(t, dbRole)
	s.Proxy = startForwarder(t, address, s.Proxy, truthful(version)).address
	s.agent = s.StartAgent(t, nil, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	works(t, s.session(t, "orders"))
	return s
}

// from opens a session from an address of this host.
func (s *scene) from(t *testing.T, address, from string) *pgx.Conn {
	t.Helper()
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig("postgres://postgres@127.0.0.1:1/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.TLSConfig, err = login.DatabaseTLS(); err != nil {
		t.Fatal(err)
	}
	cfg.Fallbacks = nil
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return dialFrom(t, address, from), nil }
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
