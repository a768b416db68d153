package spool_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/audit/spool"
)

func TestFullDiskRefusesUntilThereIsSpaceAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mounting a small file system, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, spool.Config{Dir: filepath.Join(dir, "spool"), SegmentSize: 32 << 10, SyncDelay: time.Millisecond})
	stored := fill(t, s, syscall.ENOSPC)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	appendRecord(t, s, record(stored))
	lines, damage := drain(t, own(t, s))
	if len(lines) != stored+1 || len(damage) > 0 {
		t.Errorf("%d records, want %d; damage %v", len(lines), stored+1, damage)
	}
}
