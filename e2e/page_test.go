//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// pageBlock writes the one fenced block of a page of docs/databases that begins with a text to a file, so that a story does
// what the page says: block PAGE TEXT FILE.
func pageBlock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: block PAGE TEXT FILE")
	}
	page, err := os.ReadFile(filepath.Join(guides, "..", "databases", args[0]))
	ts.Check(err)
	var found []string
	for i, part := range strings.Split("\n"+string(page), "\n```") {
		_, content, _ := strings.Cut(part, "\n") // behind the language
		if i%2 == 1 && strings.HasPrefix(content, args[1]) {
			found = append(found, content+"\n")
		}
	}
	if len(found) != 1 {
		ts.Fatalf("%d blocks of %s begin with %q", len(found), args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(found[0]), 0o600))
}
