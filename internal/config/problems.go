package config

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
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
	line := yamlnode.LineOf(p.lines, path)
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

func orList(items []string) string { return yamlnode.AnyOf(items) }

func indexPath(path string, i int) string { return yamlnode.IndexPath(path, i) }

// oneOf notes a value that is not among those allowed.
func (p *problems) oneOf(path, value string, allowed ...string) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	p.add(path, "%q is not known; use %s", value, orList(allowed))
	return false
}

// warnNoEffect tells which of the keys the file has although they change nothing.
func (p *problems) warnNoEffect(at string, keys ...string) {
	for _, key := range keys {
		if p.has(at + key) {
			p.warn(at+key, noEffectText)
		}
	}
}

const noEffectText = "this key has no effect in this program"
