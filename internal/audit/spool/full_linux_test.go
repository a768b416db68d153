package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/spool"
)

// smallDisk mounts a file system of 256 KiB. No program is started while the test runs: until it has begun, it would have open
// what this process has, and deleting that would make no space.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	syscall.ForkLock.RLock()
	t.Cleanup(syscall.ForkLock.RUnlock)
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mounting a small file system, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDiskRefusesUntilThereIsSpaceAgain(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
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

// plug takes every byte that is left on a disk.
func plug(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "plug"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // its content does not matter
	for err == nil {
		_, err = file.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestDeliveringEmptiesAFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	config := spool.Config{Dir: filepath.Join(dir, "spool"), SegmentSize: 32 << 10, SyncDelay: time.Millisecond}
	s, err := spool.Open(config) // without Run: nothing but delivering makes space
	if err != nil {
		t.Fatal(err)
	}
	v := newVisit(t, s, 1)
	fill(t, s, syscall.ENOSPC)
	if err := s.Sync(t.Context(), s.End()); err != nil {
		t.Fatal(err)
	}
	plug(t, dir)
	drain(t, own(t, s))
	segments, err := filepath.Glob(filepath.Join(config.Dir, s.Stream(), "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	if len(segments) != 1 {
		t.Errorf("%d segments, want only the one being written", len(segments))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, config)
	adopted(t, next)
	ends := make(map[string][]byte)
	if err := next.Recover(t.Context(), endLost(t, next, ends)); err != nil {
		t.Fatal(err)
	}
	if err := audittest.Verify(append(v.lines, ends[v.chain.SID()])); err != nil {
		t.Errorf("the session that the deleted segments left open: %v", err)
	}
}

func TestFullDiskWithAnOldStreamIsEmptiedByDelivering(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	config := spool.Config{Dir: filepath.Join(dir, "spool"), SegmentSize: 32 << 10, SyncDelay: time.Millisecond}
	old, err := spool.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, old, syscall.ENOSPC)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, config)
	plug(t, dir)
	if _, err := s.Append(record(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v, want that there is no space", err)
	}
	drain(t, adopted(t, s))
	eventually(t, "the repair", func() bool { return s.Err() == nil })
	appendRecord(t, s, record(1))
}
