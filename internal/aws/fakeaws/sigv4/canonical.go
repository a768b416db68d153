package sigv4

import (
	"fmt"
	"slices"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// Encode percent-encodes everything but the unreserved characters of RFC 3986.
func Encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// decode undoes percent-encoding. A plus sign stays a plus sign: only forms write a space so, not signed queries.
func decode(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("broken percent-encoding in %q", s)
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high < 0 || low < 0 {
			return "", fmt.Errorf("broken percent-encoding in %q", s)
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Pair is one parameter of a query, decoded.
type Pair struct{ Name, Value string }

// ParseQuery takes a raw query apart, in order, refusing broken encoding.
func ParseQuery(raw string) ([]Pair, error) {
	var pairs []Pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := decode(name)
		if err != nil {
			return nil, err
		}
		value, err = decode(value)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, Pair{name, value})
	}
	return pairs, nil
}

// canonicalQuery encodes pairs and sorts them by name, then value, leaving out one name.
func canonicalQuery(pairs []Pair, without string) string {
	encoded := make([]Pair, 0, len(pairs))
	for _, p := range pairs {
		if p.Name != without || without == "" {
			encoded = append(encoded, Pair{Encode(p.Name), Encode(p.Value)})
		}
	}
	slices.SortStableFunc(encoded, func(a, b Pair) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	parts := make([]string, len(encoded))
	for i, p := range encoded {
		parts[i] = p.Name + "=" + p.Value
	}
	return strings.Join(parts, "&")
}

// canonicalPath removes dot segments and doubled slashes, then encodes each segment as it stood in the request line
// (so what was encoded there is encoded twice, as every service but S3 wants it).
func canonicalPath(raw string) string {
	var kept []string
	for segment := range strings.SplitSeq(raw, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, Encode(segment))
		}
	}
	path := "/" + strings.Join(kept, "/")
	if path != "/" && (strings.HasSuffix(raw, "/") || strings.HasSuffix(raw, "/.") || strings.HasSuffix(raw, "/..")) {
		path += "/"
	}
	return path
}

// trimAll removes outer white space and folds inner runs of spaces into one.
func trimAll(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }), " ")
}
