package yamlnode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// Limits on what is read, far above what anyone writes.
const (
	// MaxSize in bytes of a text. Callers check it, since they know what the text is called.
	MaxSize = 1 << 20

	maxDepth     = 64
	maxNodes     = 100_000 // after aliases are replaced by what they stand for
	maxDocuments = 5000
	maxKeys      = 1000 // of one map
)

var (
	errTooDeep = fmt.Errorf("there are more than %d levels of nesting", maxDepth)
	errTooMany = fmt.Errorf("there are more than %d values", maxNodes)
)

// checkTokens bounds the input before the parser sees it, which is recursive and takes time quadratic
// in the keys of one map and in the number of documents. Constructs that the options do not allow are
// refused here as well.
func checkTokens(tokens token.Tokens, o Options) error {
	c := tokenCounter{}
	next := func(i int) token.Type {
		if i < len(tokens) {
			return tokens[i].Type
		}
		return token.UnknownType
	}
	for i, t := range tokens {
		var err error
		switch {
		case t.Type == token.MappingKeyType, !o.Extras && (t.Type == token.TagType || t.Type == token.MergeKeyType):
			err = fmt.Errorf("%q is not supported here", strings.TrimSpace(t.Value))
		// Anchors and tags nest, as in &a &b and !a !b, and the parser would follow without a bound: one anchor,
		// whose name is a token of its own, then one tag.
		case t.Type == token.AnchorType && next(i+2) == token.AnchorType:
			err = errors.New("a value can have one anchor only")
		case t.Type == token.TagType && (next(i+1) == token.TagType || next(i+1) == token.AnchorType):
			err = errors.New("a value can have one tag only, after its anchor")
		default:
			err = c.count(t)
		}
		if err != nil {
			return &LineError{t.Position.Line, err}
		}
	}
	return nil
}

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
