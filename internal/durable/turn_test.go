package durable_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"sallyport/internal/durable"
)

func TestChangesOfAFileDoNotLoseEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "count")
	if err := os.WriteFile(file, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := durable.WithDir(dir, func() error {
				data, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(string(data))
				if err != nil {
					return err
				}
				return durable.WriteFile(file, []byte(strconv.Itoa(n+1)), 0o600)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if data, err := os.ReadFile(file); string(data) != "20" {
		t.Errorf("after 20 changes: %s, %v", data, err)
	}
}

func TestWorkIsDoneWhereNothingCanBeLocked(t *testing.T) {
	t.Parallel()
	done := false
	if err := durable.WithDir(filepath.Join(t.TempDir(), "none"), func() error { done = true; return nil }); err != nil || !done {
		t.Errorf("done %v, %v", done, err)
	}
}
