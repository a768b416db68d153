package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/clustertest"
)

// TestSessionsEndWithTheCertificateWhereTheRoleSaysSo lets the certificates of an idle session and of one in the middle of a
// statement run out, and those of a user whose role does not mind.
func TestSessionsEndWithTheCertificateWhereTheRoleSaysSo(t *testing.T) {
	t.Parallel()
	s := &scene{Cluster: clustertest.Start(t, clustertest.Options{})}
	s.pg = startPostgres(t, s.Cluster)
	s.Apply(t, strings.Replace(dbRole, "spec:", "spec:\n  options: {disconnect_expired_cert: true}", 1)+"---"+strings.Replace(dbRole, "name: db", "name: lasting", 1))
	s.alice = s.User(t, "alice", "db") // for an hour
	bob := s.User(t, "bob", "lasting")
	var ahead atomic.Int64
	clustertest.StartDaemonAt(t, s.AgentConfig(t, nil, s.database(t, "orders")), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })

	idle, busy := s.session(t, "orders"), s.session(t, "orders")
	works(t, idle)
	lasting, err := connect(t, s.Cluster, bob, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	interrupted := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.WithoutCancel(t.Context()), "select pg_sleep(600) /* busy */")
		interrupted <- err
	}()
	running := func() (n int) {
		const text = "select count(*) from pg_stat_activity where state = 'active' and query like '%/* busy */' and pid <> pg_backend_pid()"
		if err := lasting.QueryRow(t.Context(), text, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	clustertest.Eventually(t, "the statement runs", func() error {
		if n := running(); n != 1 {
			return fmt.Errorf("%d of them", n)
		}
		return nil
	})

	ahead.Store(int64(2 * time.Hour))
	const reason = "your certificate expired at "
	select {
	case err := <-interrupted:
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Severity != "FATAL" || !strings.HasPrefix(pgErr.Message, reason) || !strings.Contains(pgErr.Message, "tsh login") {
			t.Errorf("the statement ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the statement goes on")
	}
	for _, event := range []string{"db.session.end", "client.disconnect"} {
		clustertest.Eventually(t, "both ends are in the log", func() error {
			if found := s.Events(t, []string{event}, `"reason":"`+reason, `"user":"alice"`); len(found) != 2 {
				return fmt.Errorf("%s: %q", event, found)
			}
			return nil
		})
	}
	_, err = idle.Exec(t.Context(), "select 1")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Severity != "FATAL" || !strings.HasPrefix(pgErr.Message, reason) {
		t.Errorf("who was idle reads %v", err)
	}
	works(t, lasting)
	if found := s.Events(t, []string{"client.disconnect"}); len(found) != 2 {
		t.Errorf("who else was disconnected: %q", found)
	}
	clustertest.Eventually(t, "the statement is not left behind in the database", func() error {
		if n := running(); n != 0 {
			return fmt.Errorf("%d of them", n)
		}
		return nil
	})
}
