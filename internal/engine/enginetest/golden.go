package enginetest

import (
	"os"
	"path/filepath"
	"testing"
)

// Golden compares a conversation with the file of that name below testdata, or writes the file.
func Golden(t testing.TB, name, got string, write bool) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if write {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the conversation is\n%s\nwant\n%s", got, want)
	}
}
