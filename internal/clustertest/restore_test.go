package clustertest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// TestEventsArriveAfterAuthWasRestoredFromABackup puts auth back to an earlier copy of its data directory while
// an agent goes on.
func TestEventsArriveAfterAuthWasRestoredFromABackup(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	addresses := [2]string{clustertest.FreeAddr(t), clustertest.FreeAddr(t)}
	options := clustertest.Options{DataDir: dir, Change: func(cfg *config.Config) {
		cfg.Auth.ListenAddr, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs = addresses[0], addresses[1], []string{addresses[1]}
	}}
	s := newScene(t, options)
	query := func(text string) {
		t.Helper()
		if _, err := s.session(t, "orders").Exec(t.Context(), "select '"+text+"'"); err != nil {
			t.Fatal(err)
		}
		clustertest.Eventually(t, text+" is in the log", func() error {
			if len(s.Events(t, []string{"db.session.query"}, "select '"+text+"'")) == 0 {
				return errors.New("no such event")
			}
			return nil
		})
	}
	query("before the backup")
	s.Daemon.Stop(t)
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.Cluster = clustertest.Start(t, options)
	query("lost with the disk")
	s.Daemon.Stop(t)
	for _, part := range []string{"backend", "log"} {
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, part)), os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(backup, part)))); err != nil {
			t.Fatal(err)
		}
	}
	s.Cluster = clustertest.Start(t, options)
	query("after the restore")
	clustertest.Eventually(t, "the loss is in the log", func() error {
		if len(s.Events(t, []string{"audit.spool.torn"}, "it was set back", "restoring a backup")) == 0 {
			return errors.New("no such event")
		}
		return nil
	})
}
