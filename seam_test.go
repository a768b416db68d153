package sallyport_test

import (
	"go/scanner"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/resource"
)

// seamPlace is a cell of the table in ARCHITECTURE.md that says what a protocol needs.
var seamPlace = regexp.MustCompile(`(?m)^\| ([0-9]+) \| [^|]* \| ([^|]*) \| ([^|]*) \|$`)

var quoted = regexp.MustCompile("`([^` ]+)`")

// TestEveryServedProtocolIsInEveryPlace reads the table of what a protocol needs in ARCHITECTURE.md: each file that is named
// after the protocol exists for all that are served, and each other file names all of them.
func TestEveryServedProtocolIsInEveryPlace(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	protocols := slices.DeleteFunc(resource.Protocols(), func(p string) bool { return !resource.Served(p) })
	rows, places := seamPlace.FindAllStringSubmatch(string(text), -1), 0
	for _, row := range rows {
		for _, place := range quoted.FindAllStringSubmatch(row[2], -1) {
			places++
			for _, protocol := range protocols {
				path := strings.ReplaceAll(place[1], "<protocol>", protocol)
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s is missing, number %s of what a protocol needs: %v", protocol, row[1], err)
				} else if path == place[1] && !strings.Contains(strings.ToLower(code(t, path)), protocol) {
					t.Errorf("%s is not in %s, number %s of what a protocol needs", protocol, path, row[1])
				}
			}
		}
	}
	if len(protocols) < 4 || len(rows) < 10 || places < 10 {
		t.Errorf("only %d protocols, %d rows and %d places were found", len(protocols), len(rows), places)
	}
}

// code returns a source without its comments.
func code(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile(path, files.Base(), len(data)), data, nil, 0)
	var b strings.Builder
	for {
		_, kind, literal := s.Scan()
		if kind == token.EOF {
			return b.String()
		}
		b.WriteString(literal)
		b.WriteByte(' ')
	}
}
