package resource

import (
	"bytes"
	"regexp"
	"strings"
)

// ToYAML returns the resource as people write it, with keys in a stable order. ParseYAML reads it back
// to an equal resource.
func ToYAML(r Resource) ([]byte, error) {
	data, err := Encode(r)
	if err != nil {
		return nil, err
	}
	n, err := jsonNode(data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	writeMap(&b, n, 0)
	return b.Bytes(), nil
}

func indent(b *bytes.Buffer, depth int) { b.WriteString(strings.Repeat("  ", depth)) }

func writeMap(b *bytes.Buffer, n *node, depth int) {
	for _, p := range n.pairs {
		indent(b, depth)
		writePair(b, p, depth)
	}
}

func writePair(b *bytes.Buffer, p pair, depth int) {
	b.WriteString(scalarText(p.key))
	b.WriteByte(':')
	switch v := p.value; {
	case v.shape == shapeMap && len(v.pairs) > 0:
		b.WriteByte('\n')
		writeMap(b, v, depth+1)
	case v.shape == shapeList && len(v.items) > 0:
		b.WriteByte('\n')
		writeList(b, v, depth)
	default:
		b.WriteByte(' ')
		writeLeaf(b, v, depth+1)
	}
}

func writeList(b *bytes.Buffer, n *node, depth int) {
	for _, item := range n.items {
		indent(b, depth)
		b.WriteString("- ")
		switch {
		case item.shape == shapeMap && len(item.pairs) > 0:
			for i, p := range item.pairs {
				if i > 0 {
					indent(b, depth+1)
				}
				writePair(b, p, depth+1)
			}
		case item.shape == shapeList && len(item.items) > 0:
			b.Write(item.appendJSON(nil)) // flow form: lists in lists occur in kept values only
			b.WriteByte('\n')
		default:
			writeLeaf(b, item, depth+1)
		}
	}
}

// writeLeaf writes a scalar or an empty collection and ends the line.
func writeLeaf(b *bytes.Buffer, n *node, depth int) {
	switch {
	case n.shape != shapeString:
		b.Write(n.appendJSON(nil))
	case isBlock(n.text):
		b.WriteString("|\n")
		for line := range strings.Lines(n.text) {
			indent(b, depth)
			b.WriteString(line)
		}
		return
	default:
		b.WriteString(scalarText(n.text))
	}
	b.WriteByte('\n')
}

var (
	// block matches texts such as PEM files, which are far easier to read as lines.
	block = regexp.MustCompile(`^[!-~](?:[ -~]*[!-~])?\n(?:[!-~](?:[ -~]*[!-~])?\n)+$`)
	// plain matches strings that no reader of YAML takes for something else.
	plain = regexp.MustCompile(`^(?:[A-Za-z_/][A-Za-z0-9_./@+-]*|(?:[0-9]+h)?(?:[0-9]+m)?[0-9]+s)$`)
)

func isBlock(s string) bool { return block.MatchString(s) }

func scalarText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	return string(appendQuoted(nil, s))
}
