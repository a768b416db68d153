package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit/spool"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/resource"
	"sallyport/internal/service"
)

// startProxyDaemon is StartProxy for a proxy that the test stops.
func startProxyDaemon(t *testing.T, c *clustertest.Cluster) (*clustertest.Daemon, string) {
	t.Helper()
	cfg := config.Default()
	cfg.Auth.Enabled, cfg.Databases.Enabled = false, false
	cfg.Nodename, cfg.DataDir = "proxy", t.TempDir()
	cfg.AuthAddr, cfg.Token, cfg.CAPins = c.Auth, clustertest.StaticToken, c.Pins(t)
	addr := clustertest.FreeAddr(t)
	cfg.Proxy.Enabled, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs = true, addr, []string{addr}
	return clustertest.StartDaemon(t, cfg), addr
}

func connected(daemon *clustertest.Daemon, times int) func() error {
	return func() error {
		if n := strings.Count(daemon.Log(), "agent connected"); n < times {
			return fmt.Errorf("%d agents are connected", n)
		}
		return nil
	}
}

// TestNewUsersAreServedWhenTheAgentsOwnProxyStops has an agent that knows one address, that of a proxy which
// goes away: what it needs of auth for a user whom it has not served before comes by way of the other proxy.
func TestNewUsersAreServedWhenTheAgentsOwnProxyStops(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	s.Apply(t, dbRole)
	own, address := startProxyDaemon(t, c)
	s.agent = s.StartAgent(t, func(cfg *config.Config) { cfg.ProxyAddr = address }, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	clustertest.Eventually(t, "the agent follows both proxies", func() error {
		return errors.Join(connected(own, 1)(), connected(c.Daemon, 1)())
	})
	works(t, s.session(t, "orders"))
	own.Stop(t)
	began := time.Now()
	s.alice = s.User(t, "bob", "db")
	works(t, s.session(t, "orders"))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAgentBesideAProxyServesThroughTheOtherProxiesToo(t *testing.T) {
	t.Parallel()
	orders := clustertest.Database(t, "orders", clustertest.FreeAddr(t), nil) // where nobody listens
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{Databases: []*resource.Database{orders}})}
	s.Apply(t, dbRole)
	alice := s.User(t, "alice", "db")
	front := &clustertest.Cluster{Proxy: s.StartProxy(t), Admin: s.Admin}
	clustertest.Eventually(t, "the agent is reached through the second proxy", func() error {
		_, err := connect(t, front, alice, "orders", "postgres", "postgres")
		if err == nil || !strings.Contains(err.Error(), "cannot be reached from the agent") {
			return fmt.Errorf("got %w", errors.Join(err))
		}
		return nil
	})
}

func TestSeveralAddressesAreTriedInTurn(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing until it is closed
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = silent.Close() })
	s := newScene(t, clustertest.Options{})
	second := s.StartAgent(t, func(cfg *config.Config) {
		cfg.ProxyAddr, cfg.AuthAddr, cfg.AuthAddrMayBeProxy = "", clustertest.FreeAddr(t), true
		cfg.OtherAddrs = []string{silent.Addr().String(), s.Proxy}
	}, s.database(t, "second"))
	works(t, s.session(t, "second"))
	if !strings.Contains(second.Log(), "joined the cluster") {
		t.Error(second.Log())
	}
}

func TestStoppedProxyIsWithdrawn(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	own, address := startProxyDaemon(t, s.Cluster)
	clustertest.Eventually(t, "the agent follows the second proxy", connected(own, 1))
	own.Stop(t)
	clustertest.Eventually(t, "the agent forgets it", func() error {
		if !strings.Contains(s.agent.Log(), `msg="proxy has left the cluster" component=db proxy=`+address) {
			return errors.New("it still follows")
		}
		return nil
	})
}

func TestFailedStartLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Nodename, cfg.DataDir = "localhost", t.TempDir()
	cfg.Storage.Path = filepath.Join(cfg.DataDir, "backend")
	cfg.Auth.ClusterName, cfg.Auth.ListenAddr = clustertest.ClusterName, clustertest.FreeAddr(t)
	cfg.Proxy.ListenAddr = taken.Addr().String()
	cfg.Databases.Enabled = true
	run := func(ctx context.Context) error {
		return service.Process{}.Run(ctx, ctx, cfg, slog.New(slog.DiscardHandler))
	}
	if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot listen on") {
		t.Fatalf("got %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	clustertest.Eventually(t, "the second start works", func() error {
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		default:
		}
		conn, err := net.Dial("tcp", cfg.Proxy.ListenAddr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// A spool that somebody still holds cannot be adopted.
	dir := filepath.Join(cfg.DataDir, "spool")
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	if queues, err := journal.Pending(); err != nil || len(queues)-1 != len(left) {
		t.Errorf("%d of %d spools were left alone: %v", len(queues)-1, len(left), err)
	}
}

func TestAnotherServiceOnAJoinedHost(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	s.agent.Stop(t)
	address := clustertest.FreeAddr(t)
	cfg := *s.agent.Config
	cfg.Proxy.Enabled, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs, cfg.Token = true, address, []string{address}, ""
	err := service.Process{}.Run(t.Context(), t.Context(), &cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "this host joined the cluster for Db and is now to run Proxy too; make a token with tctl tokens add --type=proxy,db") {
		t.Fatalf("without a token: %v", err)
	}
	cfg.Token = clustertest.StaticToken
	clustertest.StartDaemon(t, &cfg)
	front := &scene{Cluster: &clustertest.Cluster{Proxy: address, Admin: s.Admin}, alice: s.alice}
	works(t, front.session(t, "orders"))
}
