package yamlnode

import (
	"bytes"
	"regexp"
	"strings"
)

// FromJSON rewrites a JSON value as people write YAML: in block style, with the keys in their order.
func FromJSON(data []byte) ([]byte, error) {
	n, err := ReadJSON(data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	switch {
	case n.Shape == Map && len(n.Pairs) > 0:
		writeMap(&b, n, 0)
	case n.Shape == List && len(n.Items) > 0:
		writeList(&b, n, 0)
	default:
		writeLeaf(&b, n, 1)
	}
	return b.Bytes(), nil
}

func indent(b *bytes.Buffer, depth int) { b.WriteString(strings.Repeat("  ", depth)) }

func writeMap(b *bytes.Buffer, n *Node, depth int) {
	for _, p := range n.Pairs {
		indent(b, depth)
		writePair(b, p, depth)
	}
}

func writePair(b *bytes.Buffer, p Pair, depth int) {
	b.WriteString(scalarText(p.Key))
	b.WriteByte(':')
	switch v := p.Value; {
	case v.Shape == Map && len(v.Pairs) > 0:
		b.WriteByte('\n')
		writeMap(b, v, depth+1)
	case v.Shape == List && len(v.Items) > 0:
		b.WriteByte('\n')
		writeList(b, v, depth)
	default:
		b.WriteByte(' ')
		writeLeaf(b, v, depth+1)
	}
}

func writeList(b *bytes.Buffer, n *Node, depth int) {
	for _, item := range n.Items {
		indent(b, depth)
		b.WriteString("- ")
		switch {
		case item.Shape == Map && len(item.Pairs) > 0:
			for i, p := range item.Pairs {
				if i > 0 {
					indent(b, depth+1)
				}
				writePair(b, p, depth+1)
			}
		case item.Shape == List && len(item.Items) > 0:
			b.Write(item.JSON()) // flow form: lists in lists occur in kept values only
			b.WriteByte('\n')
		default:
			writeLeaf(b, item, depth+1)
		}
	}
}

// writeLeaf writes a scalar or an empty collection and ends the line.
func writeLeaf(b *bytes.Buffer, n *Node, depth int) {
	switch {
	case n.Shape != String:
		b.Write(n.JSON())
	case isBlock(n.Text):
		b.WriteString("|\n")
		for line := range strings.Lines(n.Text) {
			indent(b, depth)
			b.WriteString(line)
		}
		return
	default:
		b.WriteString(scalarText(n.Text))
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
