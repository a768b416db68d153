package clustertest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// agentAt starts an agent on a host whose clock is off.
func agentAt(t *testing.T, s *scene, off time.Duration) *clustertest.Daemon {
	t.Helper()
	cfg := config.Default()
	cfg.Auth.Enabled, cfg.Proxy.Enabled = false, false
	cfg.Nodename, cfg.DataDir = "agent", t.TempDir()
	cfg.ProxyAddr, cfg.Token, cfg.CAPins = s.Proxy, clustertest.StaticToken, s.Pins(t)
	cfg.Databases.Enabled = true
	cfg.Databases.Static = append(cfg.Databases.Static, s.database(t, "orders"))
	return clustertest.StartDaemonAt(t, cfg, func() time.Time { return time.Now().Add(off) })
}

// logs waits for a line with all of the texts.
func logs(t *testing.T, daemon *clustertest.Daemon, texts ...string) {
	t.Helper()
	clustertest.Eventually(t, "the log tells", func() error {
		for line := range strings.SplitSeq(daemon.Log(), "\n") {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("no line with %q", texts)
	})
}

func TestHostWhoseClockIsBehindIsToldSo(t *testing.T) {
	t.Parallel()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{})}
	s.pg = startPostgres(t, s.Cluster)
	logs(t, agentAt(t, s, -time.Hour), "cannot reach the cluster to join", "it is valid from", "the clock of this host says", "compare the clocks of both hosts")
}

// TestHostWhoseClockIsAheadServesWhatIsValidByIt joins an hour ahead: a login that lasts longer works, one that
// has ended by the agent's clock is refused, and the log says why.
func TestHostWhoseClockIsAheadServesWhatIsValidByIt(t *testing.T) {
	t.Parallel()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{})}
	s.pg = startPostgres(t, s.Cluster)
	s.Apply(t, dbRole)
	ahead := agentAt(t, s, time.Hour)
	s.alice = s.User(t, "alice", "db") // for an hour
	clustertest.Eventually(t, "the short login is refused", func() error {
		conn, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		if err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("it was let in")
		}
		if !strings.Contains(ahead.Log(), "it ended at") { // before it serves the database it refuses for that
			return err
		}
		return nil
	})
	logs(t, ahead, "client refused", "it ended at", "the clock of this host says", "compare the clocks of both hosts")
	long := s.Sign(t, "alice", 12*time.Hour)
	api := long.API(clustertest.NewDialer(), s.Proxy)
	defer api.Close()
	login, err := client.DatabaseLogin(t.Context(), api, client.Route{Service: "orders", User: "postgres", Name: "postgres"}, 8*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := open(t, s.Cluster, login, "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	works(t, conn)
}
