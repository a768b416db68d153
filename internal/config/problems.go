package config

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/fault"
)

// problems collects what is wrong with a file, so that a person corrects it in one go, and what is
// right but has no effect.
type problems struct {
	source   string
	place    func(path string) string // if set: the name under which a path is told
	lines    map[string]int           // of each key, by path
	told     map[string]bool          // paths with a problem; a second one would only follow from the first
	list     []finding
	warnings []finding
}

type finding struct {
	line int
	text string
}

// add notes what is wrong with the key at the path.
func (p *problems) add(path, format string, args ...any) {
	if p.told[path] {
		return
	}
	if p.told == nil {
		p.told = map[string]bool{}
	}
	p.told[path] = path != ""
	p.list = append(p.list, p.finding(path, format, args...))
}

// warn notes that the key at the path does not do what its author may expect.
func (p *problems) warn(path, format string, args ...any) {
	p.warnings = append(p.warnings, p.finding(path, format, args...))
}

func (p *problems) finding(path, format string, args ...any) finding {
	line := p.line(path)
	text := ""
	switch {
	case line > 0:
		text = fmt.Sprintf("%s:%d: ", p.source, line)
	case p.source != "":
		text = p.source + ": "
	}
	if p.place != nil {
		path = p.place(path)
	}
	if path != "" {
		text += path + ": "
	}
	return finding{line, text + fmt.Sprintf(format, args...)}
}

// line returns the line of the key, or of the nearest key above one that is missing.
func (p *problems) line(path string) int {
	for path != "" {
		if line, ok := p.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return p.lines[""]
}

// err returns everything that is wrong as one error with a line for each problem, in the order of the file.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return fault.New(fault.BadParameter, "%s", strings.Join(inOrder(p.list), "\n"))
}

func inOrder(findings []finding) []string {
	slices.SortStableFunc(findings, func(a, b finding) int { return a.line - b.line })
	var texts []string
	for _, f := range findings {
		texts = append(texts, f.text)
	}
	return texts
}

func keyPath(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
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

func indexPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// orList renders alternatives as in: "a", "b" or "c".
func orList(items []string) string {
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

// oneOf notes a value that is not among those allowed.
func (p *problems) oneOf(path, value string, allowed ...string) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	p.add(path, "%q is not known; use %s", value, orList(allowed))
	return false
}
