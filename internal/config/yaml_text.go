package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/resource"
)

// yamlText builds a file that people will read and change: fixed order, values in double quotes,
// comments.
type yamlText struct{ b strings.Builder }

func (y *yamlText) line(indent int, format string, args ...any) {
	y.b.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&y.b, format, args...)
	y.b.WriteByte('\n')
}

// comment writes text of one or several lines.
func (y *yamlText) comment(indent int, text string) {
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		y.line(indent, "%s", strings.TrimRight("# "+line, " "))
	}
}

// pair writes a key with a value, unless the value is empty.
func (y *yamlText) pair(indent int, key, value string) {
	if value != "" {
		y.line(indent, "%s: %s", key, quote(value))
	}
}

// group writes a key with pairs below it, unless all values are empty.
func (y *yamlText) group(indent int, key string, pairs ...[2]string) {
	if !slices.ContainsFunc(pairs, func(pair [2]string) bool { return pair[1] != "" }) {
		return
	}
	y.line(indent, "%s:", key)
	for _, pair := range pairs {
		y.pair(indent+1, pair[0], pair[1])
	}
}

// list writes a key with a list in one line, unless the list is empty.
func (y *yamlText) list(indent int, key string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = quote(value)
	}
	y.line(indent, "%s: [%s]", key, strings.Join(quoted, ", "))
}

// labels writes a map whose keys may be anything.
func (y *yamlText) labels(indent int, key string, labels resource.Labels) {
	y.line(indent, "%s:", key)
	if strings.HasPrefix(key, "- ") {
		indent++ // the key itself stands two columns further right
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if values := labels[name]; len(values) == 1 {
			y.line(indent+1, "%s: %s", quote(name), quote(values[0]))
		} else {
			y.list(indent+1, quote(name), values)
		}
	}
}

// quote writes a double-quoted scalar (YAML 1.2, section 7.3.1).
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
