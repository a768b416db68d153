package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// node is a value as written in the file, with its line.
type node struct {
	line  int
	shape shape
	text  string // of scalars, as written
	pairs []pair // of maps, in the order written
	items []*node
	size  int // number of values in it, itself included
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

func (n *node) scalar() bool {
	return n.shape == shapeBool || n.shape == shapeNumber || n.shape == shapeString
}

// empty reports a value that says nothing: null, "", {} or [].
func (n *node) empty() bool { return n.text == "" && len(n.pairs) == 0 && len(n.items) == 0 }

func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// json returns the value for types that read themselves from JSON. Numbers stay as written only when
// JSON can hold them.
func (n *node) json() []byte {
	data, err := json.Marshal(n.plain())
	if err != nil {
		return []byte("null") // plain values always encode
	}
	return data
}

func (n *node) plain() any {
	switch n.shape {
	case shapeBool:
		return strings.EqualFold(n.text, "true")
	case shapeNumber:
		if json.Valid([]byte(n.text)) {
			return json.RawMessage(n.text)
		}
		return n.text
	case shapeString:
		return n.text
	case shapeMap:
		m := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			m[p.key] = p.value.plain()
		}
		return m
	case shapeList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.plain()
		}
		return list
	default:
		return nil
	}
}

// Limits on what a file may hold, far above what anyone writes.
const (
	maxFile  = 1 << 20
	maxNodes = 100_000
)

// parseYAML reads the one document of a file. What cannot be read is noted in p; the rest is returned.
func parseYAML(p *problems, data []byte) *node {
	empty := &node{shape: shapeMap, size: 1}
	if len(data) > maxFile {
		p.add("", "the file is larger than 1 MiB")
		return empty
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p.lines = map[string]int{"": syntaxLine(err)}
		p.add("", "this is not valid YAML: %s", syntaxMessage(err))
		return empty
	}
	r := &nodeReader{p: p, anchors: map[string]*node{}}
	p.lines = map[string]int{}
	var root *node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			p.lines[""] = lineOf(doc.Body)
			p.add("", "there is a second document; a configuration is one document")
			break
		}
		root = r.read(doc.Body, "")
	}
	switch {
	case root == nil || root.shape == shapeNull:
		return empty
	case root.shape != shapeMap:
		p.lines[""] = root.line
		p.add("", "the file must be a map with sections such as teleport and db_service, not %s", root.shape)
		return empty
	default:
		return root
	}
}

func syntaxLine(err error) int {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return at.GetToken().Position.Line
	}
	return 0
}

func syntaxMessage(err error) string {
	var at yaml.Error
	if errors.As(err, &at) {
		return at.GetMessage()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// nodeReader turns the parser's tree into nodes and remembers the line of each path.
type nodeReader struct {
	p       *problems
	anchors map[string]*node
	nodes   int
}

func (r *nodeReader) read(n ast.Node, path string) *node {
	if n == nil {
		return &node{size: 1}
	}
	line := lineOf(n)
	if path != "" && r.p.lines[path] == 0 {
		r.p.lines[path] = line
	}
	out := &node{line: line, size: 1}
	switch v := n.(type) {
	case *ast.MappingNode:
		r.mapping(out, v.Values, path)
	case *ast.MappingValueNode:
		r.mapping(out, []*ast.MappingValueNode{v}, path)
	case *ast.SequenceNode:
		out.shape = shapeList
		for i, item := range v.Values {
			child := r.read(item, indexPath(path, i))
			out.items = append(out.items, child)
			out.size += child.size
		}
	case *ast.AnchorNode:
		out = r.read(v.Value, path)
		r.anchors[v.Name.String()] = out
	case *ast.AliasNode:
		out = r.alias(v, path)
	case *ast.TagNode:
		out = r.read(v.Value, path)
		if v.Start.Value == "!!str" && out.scalar() {
			out.shape = shapeString
		}
	default:
		r.scalar(out, n, path)
	}
	return out
}

func (r *nodeReader) scalar(out *node, n ast.Node, path string) {
	switch v := n.(type) {
	case *ast.StringNode:
		out.shape, out.text = shapeString, v.Value
	case *ast.LiteralNode:
		out.shape, out.text = shapeString, v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.shape, out.text = shapeNumber, n.GetToken().Value
	case *ast.BoolNode:
		out.shape, out.text = shapeBool, n.GetToken().Value
	case *ast.NullNode, *ast.CommentGroupNode:
	default:
		r.p.add(path, "%q cannot be used here", strings.TrimSpace(n.String()))
	}
}

func (r *nodeReader) mapping(out *node, values []*ast.MappingValueNode, path string) {
	out.shape = shapeMap
	var merged []*node
	for i, v := range values {
		line := lineOf(v.Key)
		if i == 0 {
			out.line = line
		}
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, r.merge(v.Value, path)...)
			continue
		}
		key := strings.TrimSpace(v.Key.GetToken().Value)
		at := keyPath(path, key)
		if out.get(key) != nil {
			before := r.p.lines[at]
			r.p.lines[at] = line
			r.p.add(at, "the key is already on line %d", before)
			continue
		}
		r.p.lines[at] = line
		value := r.read(v.Value, at)
		out.pairs = append(out.pairs, pair{key, line, value})
		out.size += value.size
	}
	for _, m := range merged {
		for _, one := range m.pairs {
			if out.get(one.key) == nil {
				out.pairs = append(out.pairs, one)
				out.size += one.value.size
				r.place(one.value, keyPath(path, one.key), one.line)
			}
		}
	}
}

// merge returns the maps that a << key takes over.
func (r *nodeReader) merge(n ast.Node, path string) []*node {
	value := r.read(n, keyPath(path, "<<"))
	switch value.shape {
	case shapeMap:
		return []*node{value}
	case shapeList:
		return value.items
	default:
		r.p.add(keyPath(path, "<<"), "must be an alias of a map")
		return nil
	}
}

// alias returns what the alias stands for. An anchor is known only after its value, so that nothing
// contains itself; sizes are counted, so that aliases of aliases cannot grow without bound.
func (r *nodeReader) alias(v *ast.AliasNode, path string) *node {
	target, ok := r.anchors[v.Value.String()]
	if !ok {
		r.p.add(path, "the alias *%s refers to nothing above; put the text in quotes if it is not an alias", v.Value.String())
		return &node{line: lineOf(v), size: 1}
	}
	if r.nodes += target.size; r.nodes > maxNodes {
		r.p.add(path, "the aliases of the file stand for more than %d values", maxNodes)
		return &node{line: lineOf(v), size: 1}
	}
	r.place(target, path, target.line)
	return target
}

// place notes the lines of values that appear at a second path.
func (r *nodeReader) place(n *node, path string, line int) {
	if r.p.lines[path] == 0 {
		r.p.lines[path] = line
	}
	for _, one := range n.pairs {
		r.place(one.value, keyPath(path, one.key), one.line)
	}
	for i, item := range n.items {
		r.place(item, indexPath(path, i), item.line)
	}
}

func describe(n *node) string {
	if n.shape == shapeString {
		return fmt.Sprintf("%q", n.text)
	}
	return n.shape.String()
}
