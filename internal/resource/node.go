package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// node is a value as written in a document, with its line. YAML and JSON are both read into nodes, so
// that every later error can say where.
type node struct {
	line  int
	shape shape
	text  string // of scalars
	pairs []pair // of maps, in the order written
	items []*node
}

type pair struct {
	key   string
	line  int
	value *node
}

type shape int

const (
	shapeNull shape = iota
	shapeBool
	shapeNumber
	shapeString
	shapeMap
	shapeList
)

// String names the shape in messages.
func (s shape) String() string {
	return [...]string{"nothing", "true or false", "a number", "a string", "a map", "a list"}[s]
}

func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// drop removes a key that older files carry and that means nothing here.
func (n *node) drop(key string) {
	for i, p := range n.pairs {
		if p.key == key {
			n.pairs = append(n.pairs[:i:i], n.pairs[i+1:]...)
			return
		}
	}
}

// appendJSON renders the node for the UnmarshalJSON methods of values.
func (n *node) appendJSON(b []byte) []byte {
	switch n.shape {
	case shapeString:
		return appendQuoted(b, n.text)
	case shapeMap:
		b = append(b, '{')
		for i, p := range n.pairs {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, p.key), ':')
			b = p.value.appendJSON(b)
		}
		return append(b, '}')
	case shapeList:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case shapeNull:
		return append(b, "null"...)
	default:
		return append(b, n.text...)
	}
}

// appendQuoted appends a JSON string, which is a YAML double-quoted string as well.
func appendQuoted(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...) // cannot happen: strings always encode
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// Limits on documents.
const (
	maxDocument = 1 << 20
	maxDepth    = 64
	maxNodes    = 100_000 // after aliases are replaced by what they stand for
)

var errTooDeep = fmt.Errorf("is nested deeper than %d levels", maxDepth)

// jsonNode reads one JSON value that is known to be valid.
func jsonNode(data []byte) (*node, error) {
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

type jsonReader struct {
	dec    *json.Decoder
	data   []byte
	line   int // of the position counted so far
	offset int
}

func (r *jsonReader) token() (json.Token, int, error) {
	t, err := r.dec.Token()
	to := int(r.dec.InputOffset())
	r.line += bytes.Count(r.data[r.offset:to], []byte("\n"))
	r.offset = to
	return t, r.line, err
}

func (r *jsonReader) value(depth int) (*node, error) {
	t, line, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, &lineError{line, errTooDeep}
	}
	switch v := t.(type) {
	case json.Delim:
		if v == '{' {
			return r.object(line, depth)
		}
		return r.array(line, depth)
	case string:
		return &node{line: line, shape: shapeString, text: v}, nil
	case json.Number:
		return &node{line: line, shape: shapeNumber, text: v.String()}, nil
	case bool:
		return &node{line: line, shape: shapeBool, text: fmt.Sprint(v)}, nil
	default:
		return &node{line: line}, nil
	}
}

func (r *jsonReader) object(line, depth int) (*node, error) {
	n := &node{line: line, shape: shapeMap}
	seen := map[string]bool{}
	for r.dec.More() {
		t, at, err := r.token()
		if err != nil {
			return nil, err
		}
		key := t.(string)
		if seen[key] {
			return nil, &lineError{at, fmt.Errorf("the key %q occurs twice", key)}
		}
		seen[key] = true
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.pairs = append(n.pairs, pair{key, at, value})
	}
	_, _, err := r.token()
	return n, err
}

func (r *jsonReader) array(line, depth int) (*node, error) {
	n := &node{line: line, shape: shapeList}
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, _, err := r.token()
	return n, err
}

// lineError is an error about a line of a document.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }
