package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestLoginsAtTheSameTimeKeepEachOthersSections holds for any order, as each command changes the file that the one before has left.
func TestLoginsAtTheSameTimeKeepEachOthersSections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services")
	var logins sync.WaitGroup
	for i := range 20 {
		logins.Go(func() {
			if err := changeSection(path, fmt.Sprintf("local-%d", i), []string{"host=x"}); err != nil {
				t.Error(err)
			}
		})
	}
	logins.Wait()
	data, err := os.ReadFile(path)
	if n := strings.Count(string(data), "host=x"); err != nil || n != 20 {
		t.Errorf("20 logins left %d sections, %v", n, err)
	}
}

func TestTheLastSectionTakesTheFileWithIt(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere, linked := filepath.Join(dir, "services"), filepath.Join(dir, "elsewhere"), filepath.Join(dir, "linked")
	if err := errors.Join(os.WriteFile(elsewhere, nil, 0o600), os.Symlink(elsewhere, linked)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, linked} {
		if err := errors.Join(changeSection(file, "local-a", []string{"host=x"}), changeSection(file, "local-a", nil)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file stays: %v", err)
	}
	if _, err := os.Stat(linked); err != nil {
		t.Errorf("a link leads nowhere now: %v", err)
	}
}
