//go:build unix

package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/durable"
)

func TestADirectoryIsLockedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locked")
	if _, err := durable.LockDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.LockDir(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	info, err := lock.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckName(dir, info); err != nil {
		t.Errorf("the name of the locked directory: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = durable.LockDir(dir); err != nil {
		t.Fatalf("after the first lock: %v", err)
	}
	defer lock.Close()
	if err := os.Rename(dir, dir+"-before"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckName(dir, info); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name of a directory that was replaced: %v", err)
	}
}
