package yamlnode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// Options say which liberties a document may take.
type Options struct {
	// Extras allows << keys and tags, of which !!str makes a scalar a string and others change nothing.
	Extras bool
	// AsWritten keeps numbers and booleans as they were written, for places where they are meant as text.
	// Otherwise they are in the form of JSON.
	AsWritten bool
}

// Read reads the documents of a YAML stream; empty ones are nil. The error, a LineError where it can be,
// says why the text as a whole cannot be read. The problems are about single values, in the order of the
// text; the nodes are complete apart from them.
func Read(data []byte, o Options) ([]*Node, []Problem, error) {
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if err := checkTokens(tokens, o); err != nil {
		return nil, nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, nil, syntaxError(err)
	}
	var docs []*Node
	r := &reader{options: o}
	for _, doc := range file.Docs {
		r.anchors = map[string]*Node{} // anchors end with their document
		n := r.read(doc.Body, "", 0)
		if n.Shape == Null {
			n = nil
		}
		docs = append(docs, n)
	}
	return docs, r.problems, nil
}

func syntaxError(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return &LineError{at.GetToken().Position.Line, errors.New(at.GetMessage())}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}

// reader turns the parser's tree into nodes.
type reader struct {
	options  Options
	anchors  map[string]*Node
	nodes    int
	full     bool // the limit of nodes was told
	problems []Problem
}

func (r *reader) add(path string, line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, line, fmt.Sprintf(format, args...)})
}

// take counts nodes, and reports whether there is room for them.
func (r *reader) take(count int, path string, line int) bool {
	if r.nodes += count; r.nodes > maxNodes && !r.full {
		r.full = true
		r.add(path, line, "%s", errTooMany)
	}
	return !r.full
}

func (r *reader) read(n ast.Node, path string, depth int) *Node {
	if n == nil {
		return &Node{}
	}
	out := &Node{Line: lineOf(n)}
	if depth > maxDepth {
		r.add(path, out.Line, "%s", errTooDeep)
		return out
	}
	if !r.take(1, path, out.Line) {
		return out
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		r.mapping(out, v.Values, path, depth)
	case *ast.MappingValueNode:
		r.mapping(out, []*ast.MappingValueNode{v}, path, depth)
	case *ast.SequenceNode:
		out.Shape = List
		for i, item := range v.Values {
			out.Items = append(out.Items, r.read(item, IndexPath(path, i), depth+1))
		}
	case *ast.AnchorNode:
		out = r.read(v.Value, path, depth+1)
		r.anchors[v.Name.String()] = out
	case *ast.AliasNode:
		r.alias(out, v, path, depth)
	case *ast.TagNode:
		out = r.read(v.Value, path, depth+1)
		if v.Start.Value == "!!str" && out.Scalar() {
			out.Shape = String
		}
	default:
		r.scalar(out, n, path)
	}
	return out
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func (r *reader) scalar(out *Node, n ast.Node, path string) {
	switch v := n.(type) {
	case *ast.StringNode:
		out.Shape, out.Text = String, v.Value
	case *ast.LiteralNode:
		out.Shape, out.Text = String, v.Value.Value
	case *ast.IntegerNode:
		out.Shape, out.Text = Number, r.text(n, v.Value)
	case *ast.FloatNode:
		out.Shape, out.Text = Number, r.text(n, v.Value)
	case *ast.BoolNode:
		out.Shape, out.Text = Bool, r.text(n, v.Value)
	case *ast.NullNode, *ast.CommentGroupNode:
	case *ast.InfinityNode, *ast.NanNode:
		if r.options.AsWritten {
			out.Shape, out.Text = Number, n.GetToken().Value
			return
		}
		r.unsupported(n, path)
	default:
		r.unsupported(n, path)
	}
}

func (r *reader) unsupported(n ast.Node, path string) {
	r.add(path, lineOf(n), "%q is not supported here", strings.TrimSpace(n.String()))
}

func (r *reader) text(n ast.Node, value any) string {
	if r.options.AsWritten {
		return n.GetToken().Value
	}
	return fmt.Sprint(value)
}

func (r *reader) mapping(out *Node, values []*ast.MappingValueNode, path string, depth int) {
	out.Shape = Map
	seen := map[string]int{}
	var merged []*Node
	for i, v := range values {
		line := lineOf(v.Key)
		if i == 0 {
			out.Line = line
		}
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, r.merge(v.Value, path, line, depth)...)
			continue
		}
		key, err := keyText(v.Key)
		if err != nil {
			r.add(path, line, "%s", err)
			continue
		}
		at := KeyPath(path, key)
		if before, ok := seen[key]; ok {
			r.add(at, line, "the key %q is already on line %d", key, before)
			continue
		}
		seen[key] = line
		value := r.read(v.Value, at, depth+1)
		if value.Line == 0 {
			value.Line = line
		}
		out.Pairs = append(out.Pairs, Pair{key, line, value})
	}
	for _, m := range merged {
		for _, one := range m.Pairs {
			if _, ok := seen[one.Key]; !ok {
				seen[one.Key] = one.Line
				out.Pairs = append(out.Pairs, one)
			}
		}
	}
}

func keyText(key ast.MapKeyNode) (string, error) {
	switch v := key.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return key.GetToken().Value, nil
	default:
		return "", fmt.Errorf("%q is not supported as a key; put it in quotes", strings.TrimSpace(key.String()))
	}
}

// merge returns the maps that a << key takes over.
func (r *reader) merge(n ast.Node, path string, line, depth int) []*Node {
	at := KeyPath(path, "<<")
	value := r.read(n, at, depth+1)
	switch value.Shape {
	case Map:
		return []*Node{value}
	case List:
		return value.Items
	default:
		r.add(at, line, "must be an alias of a map")
		return nil
	}
}

// alias makes out what an alias stands for. The copy is counted, so that aliases of aliases cannot grow
// without bound; an anchor is known only after its value, so that nothing can contain itself.
func (r *reader) alias(out *Node, v *ast.AliasNode, path string, depth int) {
	line, name := out.Line, v.Value.String()
	target, ok := r.anchors[name]
	if !ok {
		r.add(path, line, "the alias *%s refers to nothing above; put the text in quotes if it is not an alias", name)
		return
	}
	height, size := measure(target)
	if depth+height > maxDepth {
		r.add(path, line, "%s", errTooDeep)
		return
	}
	if r.take(size, path, line) {
		*out = *target
		out.Line = line
	}
}

func measure(n *Node) (height, size int) {
	size = 1
	each := func(child *Node) {
		h, s := measure(child)
		height = max(height, h+1)
		size += s
	}
	for _, p := range n.Pairs {
		each(p.Value)
	}
	for _, item := range n.Items {
		each(item)
	}
	return height, size
}
