package clustertest_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/mtls"
	"sallyport/internal/route"
)

const recordingConfig = "kind: session_recording_config\nversion: v2\nspec: "

// apart is a scene whose sessions come through a proxy that lives on when auth is away.
type apart struct {
	*scene
	front *clustertest.Cluster
	login *client.Credentials // for the database, got while auth was there
}

func newApart(t *testing.T, recording string) *apart {
	t.Helper()
	s := newScene(t, clustertest.Options{})
	s.Apply(t, recordingConfig+recording)
	works(t, s.session(t, "orders"))
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	return &apart{s, &clustertest.Cluster{Proxy: s.StartProxy(t), Admin: s.Admin}, login}
}

// try opens one session, without asking auth for anything.
func (a *apart) try(t *testing.T) (*pgx.Conn, error) {
	t.Helper()
	return open(t, a.front, a.login, "postgres", "postgres")
}

func (a *apart) open(t *testing.T) *pgx.Conn {
	t.Helper()
	var conn *pgx.Conn
	clustertest.Eventually(t, "a session through the proxy that stays", func() (err error) {
		conn, err = a.try(t)
		return err
	})
	return conn
}

func TestStartGateAtAuthRefusesSessionsWithoutIt(t *testing.T) {
	t.Parallel()
	a := newApart(t, "{start_gate: auth}")
	clustertest.Eventually(t, "the gate is at auth", func() error {
		works(t, a.open(t))
		if len(a.Events(t, []string{"db.session.start"}, `"start_gate":"auth"`)) == 0 {
			return errors.New("no such event")
		}
		return nil
	})
	a.Daemon.Stop(t)
	_, err := a.try(t)
	if err == nil || !strings.Contains(err.Error(), "audit is unavailable, so no session can start") {
		t.Fatalf("without auth: %v", err)
	}
}

func TestSessionsEndWhenEventsCannotBeDeliveredForTooLong(t *testing.T) {
	t.Parallel()
	a := newApart(t, "{outage_budget: 1s}")
	conn := a.open(t)
	works(t, conn)
	a.Daemon.Stop(t)
	endsWith(t, conn, "could not be delivered to the auth server for more than 1s")
	_, err := a.try(t)
	if err == nil || !strings.Contains(err.Error(), "could not be delivered") {
		t.Fatalf("a new session: %v", err)
	}
}

func TestRolesLimitConnections(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.Apply(t, strings.Replace(dbRole, "spec:", "spec:\n  options: {max_connections: 1}", 1))
	clustertest.Eventually(t, "a second connection is refused", func() error {
		first := s.session(t, "orders")
		defer first.Close(t.Context())
		second, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		if err == nil {
			return errors.Join(errors.New("it was taken"), second.Close(t.Context()))
		}
		if !strings.Contains(err.Error(), "your roles allow 1 database connections at a time") {
			t.Fatal(err)
		}
		works(t, first)
		return nil
	})
	works(t, s.session(t, "orders")) // the place is free again
	clustertest.Eventually(t, "the refusal is in the log", func() error {
		if len(s.Events(t, []string{"session.rejected"}, `"reason":"max_connections limit reached"`, `"max":1`)) == 0 {
			return errors.New("no such event")
		}
		return nil
	})
}

// TestCancelIsNoConnectionTooMany cancels a statement of a user who may have one connection.
func TestCancelIsNoConnectionTooMany(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.Apply(t, strings.Replace(dbRole, "spec:", "spec:\n  options: {max_connections: 1}", 1))
	conn := s.session(t, "orders")
	slept := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(60) /* to be cancelled */")
		slept <- err
	}()
	clustertest.Eventually(t, "the statement is cancelled", func() error {
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			return err
		}
		select {
		case err := <-slept:
			if err == nil || !strings.Contains(err.Error(), "canceling statement") {
				t.Fatalf("the statement ended with %v", err)
			}
			return nil
		case <-time.After(100 * time.Millisecond):
			return errors.New("it runs")
		}
	})
	clustertest.Eventually(t, "the request is in the log", func() error {
		if len(s.Events(t, []string{"db.session.postgres.cancel"})) == 0 {
			return errors.New("no such event")
		}
		return nil
	})
	if n := len(s.Events(t, []string{"session.rejected"})); n > 0 {
		t.Errorf("%d rejected sessions are in the log", n)
	}
}

// TestRefusedCertificatesAreInTheLog sends many visitors without a certificate and counts them in the log,
// where those of one source are merged.
func TestRefusedCertificatesAreInTheLog(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	const visitors = 30
	for range visitors {
		conn := dialFrom(t, s.Proxy, "127.0.0.77")
		client := tls.Client(conn, mtls.Named(route.ServerName("orders", clustertest.ClusterName), s.alice.Trust.Pool(ca.HostCA), nil))
		if err := client.HandshakeContext(t.Context()); err == nil {
			_, err = client.Read(make([]byte, 1)) // TLS 1.3: the refusal comes after the client's last message
			if err == nil {
				t.Fatal("a visitor without a certificate was let in")
			}
		}
	}
	many := regexp.MustCompile(`\(([0-9]+) times since`)
	clustertest.Eventually(t, "every visitor is accounted for", func() error {
		events := s.Events(t, []string{"auth"}, "showed no certificate", "127.0.0.77")
		total := 0
		for _, event := range events {
			n := 1
			if found := many.FindStringSubmatch(event); found != nil {
				n, _ = strconv.Atoi(found[1])
			}
			total += n
		}
		if total != visitors || len(events) > 5 {
			return fmt.Errorf("%d events stand for %d visitors", len(events), total)
		}
		return nil
	})
}
