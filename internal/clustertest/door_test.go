package clustertest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mtls"
	"sallyport/internal/route"
)

// TestUnfinishedCallsCountAsStrangers opens far more web and API connections than one source may, each with
// a call whose body does not come. The oldest are closed for the newest.
func TestUnfinishedCallsCountAsStrangers(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	const allowed, tried = 100, 150
	for i, door := range []struct {
		name, address string
		protocols     []string
	}{
		{"web", s.Proxy, []string{mtls.ProtocolHTTP}},
		{"auth through the proxy", s.Proxy, []string{mtls.ProtocolAuth, mtls.ProtocolHTTP}},
		{"auth", s.Auth, []string{mtls.ProtocolHTTP}},
	} {
		t.Run(door.name, func(t *testing.T) {
			var conns []*tls.Conn
			for range tried {
				conn := dialFrom(t, door.address, fmt.Sprintf("127.0.0.%d", 80+i))
				client := tls.Client(conn, mtls.ToWeb("x", true, door.protocols...))
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if err := client.HandshakeContext(t.Context()); err != nil {
					t.Fatalf("who comes later is kept out: %v", err)
				}
				if _, err := client.Write([]byte("POST /sallyport.v1.JoinService/Join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")); err != nil {
					t.Fatalf("who comes later is kept out: %v", err)
				}
				conns = append(conns, client)
			}
			soon := time.Now().Add(10 * time.Second)
			for i, conn := range conns[:tried-allowed] {
				_ = conn.SetReadDeadline(soon)
				if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("connection %d is still open: %v", i, err)
				}
			}
			// The newest are served: the call is complete with this.
			last := conns[tried-1]
			if _, err := last.Write(make([]byte, 99)); err != nil {
				t.Fatal(err)
			}
			if _, err := last.Read(make([]byte, 1)); err != nil {
				t.Errorf("the newest connection: %v", err)
			}
		})
	}
	works(t, s.session(t, "orders"))
}

// TestAProxyBehindAProxyIsNotOneStranger has more clients of a proxy that reaches auth through another proxy than may be
// strangers from one address, each from its own. None is closed.
func TestAProxyBehindAProxyIsNotOneStranger(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	behind := *c
	behind.Auth = c.Proxy
	address := behind.StartProxy(t)
	clustertest.Eventually(t, "the proxy is up", func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	var conns []*tls.Conn
	for i := range 120 {
		conn := dialFrom(t, address, fmt.Sprintf("127.0.1.%d", 1+i))
		client := tls.Client(conn, mtls.ToWeb("x", true, mtls.ProtocolAuth, mtls.ProtocolHTTP))
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		conns = append(conns, client)
	}
	for i, conn := range conns {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
}

// openWithoutName opens a PostgreSQL connection whose ClientHello names the proxy and not the database, the
// way of clients that end TLS at the proxy: after an SSLRequest, or directly.
func openWithoutName(t *testing.T, c *clustertest.Cluster, login *client.Credentials, direct bool) (*pgx.Conn, error) {
	t.Helper()
	config, err := pgx.ParseConfig("postgres://" + c.Proxy + "/postgres?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	cert := login.Certificate()
	config.TLSConfig = mtls.ToWeb("localhost", true, route.NativePostgres)
	config.TLSConfig.Certificates = []tls.Certificate{*cert}
	config.User, config.Fallbacks = "postgres", nil
	if direct {
		tlsConfig := config.TLSConfig
		config.TLSConfig = nil
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tls.Client(conn, tlsConfig), nil
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, nil
}

func terminatedLogin(t *testing.T, s *scene) *client.Credentials {
	t.Helper()
	api := s.alice.API(clustertest.NewDialer(), s.Proxy)
	defer api.Close()
	login, err := client.DatabaseLogin(t.Context(), api, client.Route{Service: "orders", Protocol: "postgres", User: "postgres", Name: "postgres", ProxyTerminated: true}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return login
}

func TestClientsThatCannotNameTheDatabase(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	login := terminatedLogin(t, s)
	for name, direct := range map[string]bool{"after an SSLRequest": false, "TLS from the first byte": true} {
		conn, err := openWithoutName(t, s.Cluster, login, direct)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		works(t, conn)
	}
	s.agent.Stop(t)
	clustertest.Eventually(t, "the client reads that no agent is there", func() error {
		_, err := openWithoutName(t, s.Cluster, login, false)
		if err == nil {
			return errors.New("it was connected")
		}
		if !strings.Contains(err.Error(), `FATAL: database "orders" was not found`) {
			return err
		}
		return nil
	})
}

func TestEndToEndOnlyTurnsThemAway(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{Change: func(cfg *config.Config) { cfg.Proxy.EndToEndOnly = true }})
	works(t, s.session(t, "orders"))
	_, err := openWithoutName(t, s.Cluster, terminatedLogin(t, s), false)
	if err == nil || !strings.Contains(err.Error(), "this cluster takes end-to-end connections only") {
		t.Fatalf("got %v", err)
	}
}

func TestOneAddressHasALimitOfConnections(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{Change: func(cfg *config.Config) { cfg.MaxConnections = 40 }})
	first := s.session(t, "orders")
	var held []*pgx.Conn
	clustertest.Eventually(t, "one connection is too many", func() error {
		conn, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		if err == nil {
			held = append(held, conn)
			return errors.New("it was taken")
		}
		return nil
	})
	works(t, first)
	if len(held) == 0 || len(held) > 40 {
		t.Fatalf("%d more sessions were taken", len(held))
	}
}
