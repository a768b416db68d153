package resource

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlNodes reads the documents of a YAML stream. Empty documents are nil.
func yamlNodes(data []byte) ([]*node, error) {
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxError(err)
	}
	var docs []*node
	r := &yamlReader{}
	for _, doc := range file.Docs {
		r.anchors = map[string]*node{} // anchors end with their document
		n, err := r.read(doc.Body, 0)
		if err != nil {
			return nil, err
		}
		if n.shape == shapeNull {
			n = nil
		}
		docs = append(docs, n)
	}
	return docs, nil
}

func syntaxError(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return &lineError{at.GetToken().Position.Line, errors.New(at.GetMessage())}
	}
	return err
}

// checkTokens bounds the input before the parser sees it, which is recursive and takes time quadratic
// in the keys of one map and in the number of documents. Constructs that resources have no use for
// are refused here as well.
func checkTokens(tokens token.Tokens) error {
	c := tokenCounter{}
	for i, t := range tokens {
		var err error
		switch t.Type {
		case token.TagType, token.MappingKeyType, token.MergeKeyType:
			err = fmt.Errorf("%q is not supported here", strings.TrimSpace(t.Value))
		case token.AnchorType:
			// The name follows as a token of its own; a second anchor after it would nest without a bound.
			if i+2 < len(tokens) && tokens[i+2].Type == token.AnchorType {
				err = errors.New("a value can have one anchor only")
			}
		default:
			err = c.count(t)
		}
		if err != nil {
			return &lineError{t.Position.Line, err}
		}
	}
	return nil
}

// Limits on the shape of YAML input.
const (
	maxDocuments = 5000
	maxKeys      = 1000 // of one map
)

// tokenCounter follows which collections are open.
type tokenCounter struct {
	block     []collection
	flow      []collection
	documents int
}

type collection struct {
	column int
	keys   int
}

func (c *tokenCounter) count(t *token.Token) error {
	keys := 0
	switch t.Type {
	case token.DocumentHeaderType, token.DocumentEndType:
		c.block, c.flow = nil, nil
		if c.documents++; c.documents > maxDocuments {
			return fmt.Errorf("there are more than %d documents; split the input into several files", maxDocuments)
		}
	case token.MappingStartType, token.SequenceStartType:
		c.flow = append(c.flow, collection{})
	case token.MappingEndType, token.SequenceEndType:
		c.flow = c.flow[:max(0, len(c.flow)-1)]
	case token.SequenceEntryType:
		c.enter(t.Position.Column)
	case token.MappingValueType:
		column := t.Position.Column
		if t.Prev != nil {
			column = t.Prev.Position.Column // of the key
		}
		here := c.enter(column)
		here.keys++
		keys = here.keys
	}
	switch {
	case len(c.flow)+len(c.block) > maxDepth:
		return errTooDeep
	case keys > maxKeys:
		return fmt.Errorf("a map has more than %d keys", maxKeys)
	default:
		return nil
	}
}

// enter returns the collection that an entry at the column belongs to: in flow style the innermost one,
// in block style the one that began at this column, after closing those further right.
func (c *tokenCounter) enter(column int) *collection {
	if n := len(c.flow); n > 0 {
		return &c.flow[n-1]
	}
	for len(c.block) > 0 && c.block[len(c.block)-1].column > column {
		c.block = c.block[:len(c.block)-1]
	}
	if n := len(c.block); n == 0 || c.block[n-1].column < column {
		c.block = append(c.block, collection{column: column})
	}
	return &c.block[len(c.block)-1]
}

type yamlReader struct {
	anchors map[string]*node
	nodes   int
}

func (r *yamlReader) read(n ast.Node, depth int) (*node, error) {
	if n == nil {
		return &node{}, nil
	}
	line := lineOf(n)
	if depth > maxDepth {
		return nil, &lineError{line, errTooDeep}
	}
	if r.nodes++; r.nodes > maxNodes {
		return nil, &lineError{line, fmt.Errorf("there are more than %d values", maxNodes)}
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		return r.mapping(v.Values, line, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{v}, line, depth)
	case *ast.SequenceNode:
		out := &node{line: line, shape: shapeList}
		for _, item := range v.Values {
			child, err := r.read(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, child)
		}
		return out, nil
	case *ast.AnchorNode:
		value, err := r.read(v.Value, depth+1)
		if err == nil {
			r.anchors[v.Name.String()] = value
		}
		return value, err
	case *ast.AliasNode:
		return r.alias(v, depth)
	default:
		return scalar(n, line)
	}
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func scalar(n ast.Node, line int) (*node, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return &node{line: line, shape: shapeString, text: v.Value}, nil
	case *ast.LiteralNode:
		return &node{line: line, shape: shapeString, text: v.Value.Value}, nil
	case *ast.IntegerNode:
		return &node{line: line, shape: shapeNumber, text: fmt.Sprint(v.Value)}, nil
	case *ast.FloatNode:
		return &node{line: line, shape: shapeNumber, text: fmt.Sprint(v.Value)}, nil
	case *ast.BoolNode:
		return &node{line: line, shape: shapeBool, text: fmt.Sprint(v.Value)}, nil
	case *ast.NullNode, *ast.CommentGroupNode:
		return &node{line: line}, nil
	default:
		return nil, &lineError{line, fmt.Errorf("%q is not supported here", strings.TrimSpace(n.String()))}
	}
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, line, depth int) (*node, error) {
	out := &node{line: line, shape: shapeMap}
	seen := map[string]bool{}
	for _, v := range values {
		at := lineOf(v.Key)
		if len(out.pairs) == 0 {
			out.line = at
		}
		key, err := keyText(v.Key)
		if err != nil {
			return nil, &lineError{at, err}
		}
		if seen[key] {
			return nil, &lineError{at, fmt.Errorf("the key %q occurs twice", key)}
		}
		seen[key] = true
		value, err := r.read(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if value.line == 0 {
			value.line = at
		}
		out.pairs = append(out.pairs, pair{key, at, value})
	}
	return out, nil
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

// alias returns what an alias stands for. The copy is counted, so that aliases of aliases cannot grow
// without bound; an anchor is known only after its value, so that nothing can contain itself.
func (r *yamlReader) alias(v *ast.AliasNode, depth int) (*node, error) {
	name := v.Value.String()
	target, ok := r.anchors[name]
	if !ok {
		return nil, &lineError{lineOf(v), fmt.Errorf("the alias *%s refers to nothing above; put the text in quotes if it is not an alias", name)}
	}
	height, size := measure(target)
	if r.nodes += size; r.nodes > maxNodes {
		return nil, &lineError{lineOf(v), fmt.Errorf("there are more than %d values", maxNodes)}
	}
	if depth+height > maxDepth {
		return nil, &lineError{lineOf(v), errTooDeep}
	}
	return target, nil
}

func measure(n *node) (height, size int) {
	size = 1
	each := func(child *node) {
		h, s := measure(child)
		height = max(height, h+1)
		size += s
	}
	for _, p := range n.pairs {
		each(p.value)
	}
	for _, item := range n.items {
		each(item)
	}
	return height, size
}
