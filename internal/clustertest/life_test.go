package clustertest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/pgserver"
	"sallyport/internal/resource"
)

// scene is a cluster with a PostgreSQL, one agent that serves it as "orders", and alice, who may use it.
type scene struct {
	*clustertest.Cluster
	pg    *pgserver.Server
	agent *clustertest.Daemon
	alice *client.Credentials
}

func newScene(t *testing.T, options clustertest.Options) *scene {
	t.Helper()
	s := &scene{Cluster: clustertest.Start(t, options)}
	s.pg = startPostgres(t, s.Cluster)
	s.Apply(t, dbRole)
	s.agent = s.StartAgent(t, nil, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	return s
}

func (s *scene) database(t *testing.T, name string) *resource.Database {
	t.Helper()
	db := clustertest.Database(t, name, s.pg.Addr, map[string]string{"env": "dev"})
	db.Spec.TLS.CACert = string(s.pg.DatabaseCA.CertPEM())
	return db
}

// session opens a session of alice's, waiting until the database is served.
func (s *scene) session(t *testing.T, service string) *pgx.Conn {
	t.Helper()
	var conn *pgx.Conn
	clustertest.Eventually(t, "a session to "+service, func() (err error) {
		conn, err = connect(t, s.Cluster, s.alice, service, "postgres", "postgres")
		return err
	})
	return conn
}

// works fails the test unless the session answers.
func works(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var one int
	if err := conn.QueryRow(t.Context(), "select 1").Scan(&one); err != nil || one != 1 {
		t.Fatalf("got %d, %v", one, err)
	}
}

// endsWith waits until a session is ended with a message for its user.
func endsWith(t *testing.T, conn *pgx.Conn, text string) {
	t.Helper()
	clustertest.Eventually(t, "the session ends", func() error {
		_, err := conn.Exec(t.Context(), "select 1")
		if err == nil {
			return errors.New("it goes on")
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
			if pgErr.Severity != "FATAL" || !strings.Contains(pgErr.Message, text) {
				t.Fatalf("ended with %v", pgErr)
			}
			return nil
		}
		t.Fatalf("ended without a reason: %v", err)
		return nil
	})
}

func TestLockEndsSessionsAndKeepsNewOnesOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	conn := s.session(t, "orders")
	works(t, conn)
	s.Apply(t, "kind: lock\nversion: v2\nmetadata: {name: 22222222-2222-4222-8222-222222222222}\nspec: {target: {user: alice}, message: on leave}\n")
	endsWith(t, conn, `lock targeting User:"alice" is in force: on leave`)
	if _, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres"); err == nil || !strings.Contains(err.Error(), "on leave") {
		t.Fatalf("a locked user: %v", err)
	}
	clustertest.Eventually(t, "the cut is in the log once", func() error {
		if n := len(s.Events(t, []string{"client.disconnect"}, "on leave")); n != 1 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	if ends := s.Events(t, []string{"db.session.end"}, "on leave"); len(ends) != 1 {
		t.Fatalf("end events: %v", ends)
	}
	s.Delete(t, resource.KindLock, "22222222-2222-4222-8222-222222222222")
	works(t, s.session(t, "orders"))
}

func TestIdleSessionsEndWithTheReason(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.Apply(t, strings.Replace(dbRole, "spec:", "spec:\n  options: {client_idle_timeout: 10s}", 1))
	conn := s.session(t, "orders")
	if _, err := conn.Exec(t.Context(), "select pg_sleep(0.01)"); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the idle session is ended", func() error {
		if len(s.Events(t, []string{"db.session.end"}, "idle for more than 10s")) != 1 {
			return errors.New("no end event")
		}
		return nil
	})
	_, err := conn.Exec(t.Context(), "select 1")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(pgErr.Message, "idle for more than 10s") {
		t.Fatalf("the client reads %v", err)
	}
}

func TestIdleMessageOfTheClusterIsWhatTheClientReads(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.Apply(t, "kind: cluster_networking_config\nversion: v2\nspec: {client_idle_timeout: 2s, idle_timeout_message: gone to lunch}\n")
	conn := s.session(t, "orders")
	clustertest.Eventually(t, "the idle session is ended", func() error {
		if len(s.Events(t, []string{"db.session.end"}, "gone to lunch")) == 0 {
			return errors.New("no end event")
		}
		return nil
	})
	endsWith(t, conn, "gone to lunch")
	// Who reads the log learns the cause as well.
	for _, event := range []string{"db.session.end", "client.disconnect"} {
		clustertest.Eventually(t, "the cause is in the log", func() error {
			if len(s.Events(t, []string{event}, `"reason":"gone to lunch: the session was idle for more than 2s"`)) != 1 {
				return fmt.Errorf("%s: %s", event, s.Events(t, []string{event}))
			}
			return nil
		})
	}
}

func TestDynamicDatabasesComeChangeAndGo(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	s.Apply(t, dbRole)
	s.alice = s.User(t, "alice", "db")
	s.StartAgent(t, func(cfg *config.Config) {
		cfg.Databases.Selectors = []resource.ResourceSelector{{Labels: resource.Labels{"team": {"a"}}}}
	})
	text := func(label, uri string) string {
		return "kind: db\nversion: v3\nmetadata:\n  name: dynamic\n  labels: {team: " + label + "}\nspec:\n  protocol: postgres\n  uri: '" + uri + "'\n  tls:\n    ca_cert: |\n      " +
			strings.ReplaceAll(strings.TrimSpace(string(s.pg.DatabaseCA.CertPEM())), "\n", "\n      ") + "\n"
	}
	s.Apply(t, text("a", "127.0.0.1:1"))
	clustertest.Eventually(t, "the database is served, and down", func() error {
		_, err := connect(t, s.Cluster, s.alice, "dynamic", "postgres", "postgres")
		if err == nil || !strings.Contains(err.Error(), "cannot be reached from the agent") {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
	s.Apply(t, text("a", s.pg.Addr))
	conn := s.session(t, "dynamic")
	s.Apply(t, text("b", s.pg.Addr))
	gone := func() error {
		_, err := connect(t, s.Cluster, s.alice, "dynamic", "postgres", "postgres")
		if err == nil || !strings.Contains(err.Error(), "was not found") {
			return fmt.Errorf("got %w", err)
		}
		return nil
	}
	clustertest.Eventually(t, "the database of another team is gone", gone)
	works(t, conn) // a running session goes on
	s.Apply(t, text("a", s.pg.Addr))
	s.session(t, "dynamic")
	s.Delete(t, resource.KindDatabase, "dynamic")
	clustertest.Eventually(t, "the deleted database is gone", gone)
	for _, typ := range []string{"db.create", "db.update", "db.delete"} {
		if len(s.Events(t, []string{typ}, "dynamic")) == 0 {
			t.Errorf("no %s event", typ)
		}
	}
}

func TestAnotherAgentTakesOver(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.session(t, "orders")
	second := s.StartAgent(t, nil, s.database(t, "orders"))
	clustertest.Eventually(t, "both agents are registered", func() error {
		if n := strings.Count(s.Log(), "agent connected"); n != 2 {
			return fmt.Errorf("%d agents", n)
		}
		return nil
	})
	s.agent.Stop(t)
	for range 10 {
		works(t, s.session(t, "orders"))
	}
	if strings.Contains(s.agent.Log(), "panic") || second == nil {
		t.Fatal(s.agent.Log())
	}
}

func TestDrainedAgentLetsSessionsFinish(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	conn := s.session(t, "orders")
	s.agent.Drain()
	clustertest.Eventually(t, "no new session is taken", func() error {
		if _, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres"); err == nil {
			return errors.New("one was taken")
		}
		return nil
	})
	works(t, conn)
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.agent.Stop(t)
	if len(s.Events(t, []string{"db.session.end"}, `"user":"alice"`)) == 0 {
		t.Fatal("the drained session has no end in the log")
	}
}

func TestSessionsGoOnWithoutAuthAndProxyControl(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var first *scene
	keep := func(cfg *config.Config) {
		if first != nil {
			cfg.Auth.ListenAddr, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs = first.Auth, first.Proxy, []string{first.Proxy}
		}
	}
	// Auth and proxy in processes of their own, so that one goes and the other stays.
	s := newScene(t, clustertest.Options{DataDir: dir, Change: keep})
	first = s
	front := s.StartProxy(t)
	conn, err := connect(t, &clustertest.Cluster{Proxy: front, Admin: s.Admin}, s.alice, "orders", "postgres", "postgres")
	clustertest.Eventually(t, "a session through the second proxy", func() error {
		if err == nil {
			return nil
		}
		conn, err = connect(t, &clustertest.Cluster{Proxy: front, Admin: s.Admin}, s.alice, "orders", "postgres", "postgres")
		return err
	})
	works(t, conn)
	s.Daemon.Stop(t)
	for range 5 {
		works(t, conn)
	}
	if _, err := conn.Exec(t.Context(), "select 'while auth was away'"); err != nil {
		t.Fatal(err)
	}
	again := clustertest.Start(t, clustertest.Options{DataDir: dir, Change: keep})
	again.Auth, again.Proxy = s.Auth, s.Proxy
	clustertest.Eventually(t, "the events arrive when auth is back", func() error {
		if n := len(again.Events(t, []string{"db.session.query"}, "while auth was away")); n != 1 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	works(t, conn)
	back := &scene{Cluster: again, pg: s.pg, alice: s.alice}
	works(t, back.session(t, "orders"))
}
