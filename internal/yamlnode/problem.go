package yamlnode

import (
	"fmt"
	"strings"
	"unicode"
)

// LineError is an error about a line of a document.
type LineError struct {
	Line int
	Err  error
}

// Error returns the sentence, which begins with the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Err) }

// Unwrap returns the error without the line.
func (e *LineError) Unwrap() error { return e.Err }

// Problem is one thing wrong with one value.
type Problem struct {
	Path    string // of the value; empty for the whole document
	Line    int
	Message string
}

// KeyPath appends a map key to a path. Keys that are not plain words are quoted, so that a path is never
// ambiguous.
func KeyPath(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
	})
	switch {
	case !plain:
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// IndexPath appends the index of an item to a path.
func IndexPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// LineOf returns the line of the path, or of the nearest key above one that is missing. The lines are
// those that Lines returns.
func LineOf(lines map[string]int, path string) int {
	for path != "" {
		if line, ok := lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return lines[""]
}

// AnyOf renders alternatives as in: "a", "b" or "c".
func AnyOf(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = fmt.Sprintf("%q", item)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
