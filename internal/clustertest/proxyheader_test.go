package clustertest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

// TestSessionsBehindABalancerAtLayerFour has client, agent and proxy meet through a balancer that writes headers.
func TestSessionsBehindABalancerAtLayerFour(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{1, 2} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			s := behindForwarder(t, version)
			for from, address := range map[string]string{"127.0.0.5": s.Proxy, "127.0.0.6": s.Config.Proxy.ListenAddr} { // one passes the balancer by
				conn := s.from(t, address, from)
				var got string
				if err := conn.QueryRow(t.Context(), "select 'here' || length(repeat('x', 3000000))").Scan(&got); err != nil || got != "here3000000" {
					t.Fatalf("got %q, %v", got, err)
				}
				clustertest.Eventually(t, "the start is in the log", func() error {
					if len(s.Events(t, []string{"db.session.start"}, `"addr.remote":"`+from+":")) == 0 {
						return fmt.Errorf("it is not: %s", s.Events(t, []string{"db.session.start"}))
					}
					return nil
				})
			}
			if starts := s.Events(t, []string{"db.session.start"}, `"addr.remote":"`+balancerSource); len(starts) > 0 {
				t.Errorf("from the balancer: %s", starts)
			}
		})
	}
}

// TestABoundCertificateBehindABalancerAtLayerFour uses one from its address and from another, at a proxy with auth in its
// process and at one without.
func TestABoundCertificateBehindABalancerAtLayerFour(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Change: withHeaders})
	c.Apply(t, pinningRole)
	const here, elsewhere = "127.0.0.5", "127.0.0.6"
	for name, proxy := range map[string]string{"with-auth": c.Proxy, "of-its-own": c.StartProxy(t, withHeaders)} {
		b := startForwarder(t, "127.0.0.1:0", proxy, truthful(2))
		clustertest.Eventually(t, "the proxy is up", func() error {
			conn, err := net.Dial("tcp", proxy)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		call := func(who *client.Credentials, to string, dialer *detour.Dialer) error {
			cfg := mtls.Client(func(string) (*tls.Certificate, error) { return who.Certificate(), nil }, func() *mtls.Trust { return who.Trust },
				"Auth", "auth."+clustertest.ClusterName, mtls.ProtocolAuth, mtls.ProtocolHTTP2)
			api := authapi.NewTLS(dialer.To(to), cfg)
			defer api.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			_, err := api.Cluster.WhoAmI(ctx, &sallyportv1.WhoAmIRequest{})
			return err
		}
		alice := loginFrom(t, c, b.address, "alice-"+name, here, "pinned")
		if alice.Identity.PinnedIP != here {
			t.Fatalf("%s: the certificate is bound to %q", name, alice.Identity.PinnedIP)
		}
		if err := call(alice, b.address, dialerFrom(here, detour.Never)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := call(alice, b.address, dialerFrom(elsewhere, detour.Never)); !fault.Is(err, fault.AccessDenied) || !strings.Contains(err.Error(), "bound to another address") {
			t.Errorf("%s, stolen: %v", name, err)
		}

		carol := c.User(t, "carol-"+name, "auditor") // whose certificate is bound to none
		if err := call(carol, b.address, dialerFrom(here, detour.Never)); err != nil {
			t.Errorf("%s, bound to none: %v", name, err)
		}

		// The balancer's own address is that of its connections for itself; no certificate that is bound to it is good there.
		lying := startForwarder(t, "127.0.0.1:0", proxy, func(net.Conn) string { return headerOf(2, balancerSource+":1") })
		bob := loginFrom(t, c, lying.address, "bob-"+name, here, "pinned")
		if err := call(bob, lying.address, dialerFrom(here, detour.Never)); bob.Identity.PinnedIP != balancerSource || err != nil {
			t.Fatalf("%s: bound to %q, %v", name, bob.Identity.PinnedIP, err)
		}
		for _, header := range local {
			silent := startForwarder(t, "127.0.0.1:0", proxy, func(net.Conn) string { return header })
			for _, mode := range []detour.Mode{detour.Never, detour.Always} {
				if err := call(bob, silent.address, dialerFrom(here, mode)); err == nil {
					t.Errorf("%s: %q, detours %v: the balancer's address satisfied a certificate", name, header, mode)
				}
				if err := call(carol, silent.address, dialerFrom(here, mode)); err == nil {
					t.Errorf("%s: %q, detours %v: a balancer's own connection reached auth", name, header, mode)
				}
			}
		}
	}
}

// TestWhoMaySendHeaders writes first bytes from a named peer and from another one, and asks for a page then.
func TestWhoMaySendHeaders(t *testing.T) {
	t.Parallel()
	on := clustertest.Start(t, clustertest.Options{Change: withHeaders})
	off := clustertest.Start(t, clustertest.Options{})
	const stranger, good = "127.0.0.79", "198.51.100.1:7"
	for _, one := range []struct {
		rule, proxy, from, first string
		served                   bool
	}{
		{"a named peer with version 1", on.Proxy, balancerSource, headerOf(1, good), true},
		{"a named peer with version 2", on.Proxy, balancerSource, headerOf(2, good), true},
		{"a named peer for itself", on.Proxy, balancerSource, local[0], true},
		{"a named peer for itself, version 1", on.Proxy, balancerSource, local[1], true},
		{"a named peer without", on.Proxy, balancerSource, "", false},
		{"a named peer with a bad one", on.Proxy, balancerSource, "PROXY TCP4 0.0.0.0 0.0.0.0 1 1\r\n", false},
		{"a second one, version 1", on.Proxy, balancerSource, headerOf(2, good) + headerOf(1, good), false},
		{"a second one, version 2", on.Proxy, balancerSource, headerOf(1, good) + headerOf(2, good), false},
		{"a second one behind the balancer's own", on.Proxy, balancerSource, local[0] + headerOf(2, good), false},
		{"others without", on.Proxy, stranger, "", true},
		{"others with version 1", on.Proxy, stranger, headerOf(1, good), false},
		{"others with version 2", on.Proxy, stranger, headerOf(2, good), false},
		{"others for themselves", on.Proxy, stranger, local[0], false},
		{"not switched on, version 1", off.Proxy, balancerSource, headerOf(1, good), false},
		{"not switched on, version 2", off.Proxy, balancerSource, headerOf(2, good), false},
		{"not switched on, without", off.Proxy, balancerSource, "", true},
	} {
		conn := dialFrom(t, one.proxy, one.from)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, one.first); err != nil {
			t.Fatal(err)
		}
		err := ping(t, conn, "")
		if (err == nil) != one.served || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", one.rule, err)
		}
	}
	for name, c := range map[string]*clustertest.Cluster{"on": on, "off": off} {
		clustertest.Eventually(t, "the log says so", func() error {
			if n := strings.Count(c.Log(), "a PROXY header was refused"); n != 1 {
				return fmt.Errorf("%s: %d times", name, n)
			}
			return nil
		})
	}
	if n := strings.Count(on.Log(), "a balancer's connection has no good PROXY header"); n != 1 {
		t.Errorf("a missing header is told %d times", n)
	}
}

// ping asks for a page over TLS.
func ping(t *testing.T, conn net.Conn, headers string) error {
	t.Helper()
	encrypted := tls.Client(conn, mtls.ToWeb("localhost", true, mtls.ProtocolHTTP))
	if _, err := fmt.Fprintf(encrypted, "GET /webapi/ping HTTP/1.1\r\nHost: proxy\r\n%s\r\n", headers); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(encrypted), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// TestForwardedHeadersBehindABalancerAtLayerFour: who is named by the PROXY header is who may say something in
// X-Forwarded-For, and not the balancer that wrote the PROXY header. Two addresses are refused of those who may.
func TestForwardedHeadersBehindABalancerAtLayerFour(t *testing.T) {
	t.Parallel()
	const inner = "198.51.100.9"
	c := clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		withHeaders(cfg)
		cfg.Proxy.Balancers = []netip.Prefix{netip.MustParsePrefix(balancerSource + "/32"), netip.MustParsePrefix(inner + "/32")}
	}})
	for _, one := range []struct {
		rule, first string
		read        bool
	}{
		{"a client", headerOf(2, "198.51.100.1:7"), false},
		{"a balancer at layer 7", headerOf(2, inner+":7"), true},
		{"the balancer itself", local[0], false},
	} {
		conn := dialFrom(t, c.Proxy, balancerSource)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, one.first); err != nil {
			t.Fatal(err)
		}
		err := ping(t, conn, "X-Forwarded-For: 198.51.100.2, 198.51.100.3\r\n")
		if (err != nil) != one.read || err != nil && err.Error() != "400 Bad Request" {
			t.Errorf("%s: %v", one.rule, err)
		}
	}
}

// TestStrangersBehindABalancerAtLayerFourCountByTheirOwnAddress has one client open more than it may, which costs the
// others behind the same balancer nothing.
func TestStrangersBehindABalancerAtLayerFourCountByTheirOwnAddress(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Change: withHeaders})
	open := func(client string) net.Conn {
		conn := dialFrom(t, c.Proxy, balancerSource)
		if _, err := io.WriteString(conn, headerOf(2, client)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	quiet := open("198.51.100.1:1")
	const allowed, tried = 100, 110
	closed := make(chan struct{}, tried)
	var reading sync.WaitGroup
	t.Cleanup(reading.Wait) // after the connections are closed
	for i := range tried {
		conn := open(fmt.Sprintf("198.51.100.2:%d", i+1))
		reading.Go(func() {
			_, _ = conn.Read(make([]byte, 1))
			closed <- struct{}{}
		})
	}
	soon := time.After(5 * time.Second) // before anybody is tired of the others
	for i := range tried - allowed {
		select {
		case <-closed:
		case <-soon:
			t.Fatalf("%d of the flood were closed", i)
		}
	}
	_ = quiet.SetDeadline(time.Now().Add(5 * time.Second))
	if err := ping(t, quiet, ""); err != nil {
		t.Errorf("another client's: %v", err)
	}
}
