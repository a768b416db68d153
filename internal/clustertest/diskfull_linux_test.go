package clustertest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// TestFullDiskStopsSessionsAndEndsWithThem fills the disk under the spool. Nothing goes on unrecorded, the
// client reads why, and everything works again when there is space.
func TestFullDiskStopsSessionsAndEndsWithThem(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	s.Apply(t, dbRole)
	data := t.TempDir()
	disk := filepath.Join(data, "spool")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=40m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s.StartAgent(t, func(cfg *config.Config) { cfg.DataDir = data }, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	conn := s.session(t, "orders")

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	statement := "select 1 -- " + strings.Repeat("x", 1<<20)
	recorded := 0
	for ; recorded < 64; recorded++ {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			if !strings.Contains(err.Error(), "audit") {
				t.Fatalf("statement %d: %v", recorded, err)
			}
			break
		}
		fill(t, ballast) // what the uploader has freed
	}
	if recorded == 64 {
		t.Fatal("statements went on while the disk was full")
	}
	clustertest.Eventually(t, "a new session is refused with the reason", func() error {
		_, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		if err == nil || !strings.Contains(err.Error(), "audit") {
			return fmt.Errorf("got %w", errors.Join(err))
		}
		return nil
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	works(t, s.session(t, "orders"))
	clustertest.Eventually(t, "what was executed is in the log", func() error {
		if n := len(s.Events(t, []string{"db.session.query"}, "select 1 -- xxx")); n < recorded {
			return fmt.Errorf("%d of %d statements", n, recorded)
		}
		return nil
	})
	clustertest.Eventually(t, "the end of the session that was cut off is in the log, with the reason", func() error {
		ends := s.Events(t, []string{"db.session.end"}, "audit is unavailable")
		cuts := s.Events(t, []string{"client.disconnect"}, "audit is unavailable")
		if len(ends) != 1 || len(cuts) != 1 {
			return fmt.Errorf("%d ends, %d disconnects, want one of each", len(ends), len(cuts))
		}
		return nil
	})
	if executed := strings.Count(s.pg.Log(t), "statement: select 1 -- xxx"); executed > recorded {
		t.Fatalf("%d statements were executed and %d were recorded", executed, recorded)
	}
}

// fill grows a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := file.Write(block); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
