// Package yamlnode reads YAML and JSON that people write into a tree that knows its lines, fills structs
// from it strictly, and writes such a tree as people would. What is wrong is told with line and path.
//
// It bounds what it reads: input from strangers costs neither much time nor much memory.
package yamlnode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Node is a value as written in a document, with its line.
type Node struct {
	Line  int
	Shape Shape
	Text  string // of scalars
	Pairs []Pair // of maps, in the order written
	Items []*Node
}

// Pair is an entry of a map.
type Pair struct {
	Key   string
	Line  int
	Value *Node
}

// Shape is what a value looks like, before anyone asks what it means.
type Shape int

// The shapes.
const (
	Null Shape = iota
	Bool
	Number
	String
	Map
	List
)

// String names the shape in messages.
func (s Shape) String() string {
	return [...]string{"nothing", "true or false", "a number", "a string", "a map", "a list"}[s]
}

// Scalar reports a single value that is not null.
func (n *Node) Scalar() bool { return n.Shape == Bool || n.Shape == Number || n.Shape == String }

// Empty reports a value that says nothing: null, "", {} or [].
func (n *Node) Empty() bool { return n.Text == "" && len(n.Pairs) == 0 && len(n.Items) == 0 }

// Describe names the value in messages: a string itself, anything else by its shape.
func (n *Node) Describe() string {
	if n.Shape == String {
		return fmt.Sprintf("%q", n.Text)
	}
	return n.Shape.String()
}

// Get returns the value of a key, or nil.
func (n *Node) Get(key string) *Node {
	for _, p := range n.Pairs {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// Drop removes a key.
func (n *Node) Drop(key string) {
	for i, p := range n.Pairs {
		if p.Key == key {
			n.Pairs = append(n.Pairs[:i:i], n.Pairs[i+1:]...)
			return
		}
	}
}

// Lines returns the line of every key and item of the tree by its path; that of the whole is at "".
func (n *Node) Lines() map[string]int {
	lines := map[string]int{}
	n.index(lines, "")
	return lines
}

func (n *Node) index(lines map[string]int, path string) {
	if _, known := lines[path]; !known {
		lines[path] = n.Line
	}
	for _, p := range n.Pairs {
		at := KeyPath(path, p.Key)
		lines[at] = p.Line
		p.Value.index(lines, at)
	}
	for i, item := range n.Items {
		item.index(lines, IndexPath(path, i))
	}
}

// JSON renders the node for the UnmarshalJSON methods of values. A number that JSON cannot hold as it
// was written becomes a string.
func (n *Node) JSON() []byte { return n.appendJSON(nil) }

func (n *Node) appendJSON(b []byte) []byte {
	switch n.Shape {
	case Map:
		b = append(b, '{')
		for i, p := range n.Pairs {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, p.Key), ':')
			b = p.Value.appendJSON(b)
		}
		return append(b, '}')
	case List:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case Null:
		return append(b, "null"...)
	case Bool:
		return append(b, strings.ToLower(n.Text)...)
	case Number:
		if json.Valid([]byte(n.Text)) {
			return append(b, n.Text...)
		}
	}
	return appendQuoted(b, n.Text)
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
