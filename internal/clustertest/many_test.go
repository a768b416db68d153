package clustertest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/clustertest"
)

// TestManySessionsFromOneAddress opens more sessions than strangers may hold open: a session counts as a
// stranger's only until the agent has seen who it is.
func TestManySessionsFromOneAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	held := make([]*pgx.Conn, 0, 130)
	for i := range cap(held) {
		conn, err := open(t, s.Cluster, login, "postgres", "postgres")
		if err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		works(t, conn)
	}
}
