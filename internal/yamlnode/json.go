package yamlnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ReadJSON reads one JSON value.
func ReadJSON(data []byte) (*Node, error) {
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

func (r *jsonReader) value(depth int) (*Node, error) {
	t, line, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, &LineError{line, errTooDeep}
	}
	switch v := t.(type) {
	case json.Delim:
		if v == '{' {
			return r.object(line, depth)
		}
		return r.array(line, depth)
	case string:
		return &Node{Line: line, Shape: String, Text: v}, nil
	case json.Number:
		return &Node{Line: line, Shape: Number, Text: v.String()}, nil
	case bool:
		return &Node{Line: line, Shape: Bool, Text: fmt.Sprint(v)}, nil
	default:
		return &Node{Line: line}, nil
	}
}

func (r *jsonReader) object(line, depth int) (*Node, error) {
	n := &Node{Line: line, Shape: Map}
	seen := map[string]int{}
	for r.dec.More() {
		t, at, err := r.token()
		if err != nil {
			return nil, err
		}
		key := t.(string)
		if before, ok := seen[key]; ok {
			return nil, &LineError{at, fmt.Errorf("the key %q is already on line %d", key, before)}
		}
		seen[key] = at
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Pairs = append(n.Pairs, Pair{key, at, value})
	}
	_, _, err := r.token()
	return n, err
}

func (r *jsonReader) array(line, depth int) (*Node, error) {
	n := &Node{Line: line, Shape: List}
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, item)
	}
	_, _, err := r.token()
	return n, err
}
