// Package predicate reads the small expression language of role conditions and list filters, such as
//
//	labels["env"] == "staging" || contains(user.spec.traits["teams"], labels["team"])
//
// Expressions are typed when they are read, so evaluating one cannot fail, has no side effects and
// takes time bounded by the sizes of the expression and the values.
package predicate

import "fmt"

// Type is the type of a name or a part of an expression.
type Type int

// The types and the Go types of their values.
const (
	Bool      Type = iota + 1 // bool
	String                    // string
	List                      // []string
	StringMap                 // map[string]string; a missing key is ""
	ListMap                   // map[string][]string; a missing key is an empty list
)

// String returns the type's name in messages.
func (t Type) String() string {
	switch t {
	case Bool:
		return "true or false"
	case String:
		return "a string"
	case List:
		return "a list"
	case StringMap, ListMap:
		return `a map, to be read as in name["key"]`
	default:
		return "unknown"
	}
}

// Vocabulary says which names an expression may use, and of which type they are.
type Vocabulary map[string]Type

// Values gives names their values, of the Go types listed at Type. A name without a value, or with
// one of another type, is empty.
type Values map[string]any

// Expr is an expression that has been read. It is immutable and safe for concurrent use.
type Expr struct {
	eval func(Values) any
}

// Match evaluates the expression.
func (e *Expr) Match(v Values) bool { return as[bool](e.eval(v)) }

// Limits on expressions.
const (
	maxLength = 16 << 10
	maxDepth  = 64
)

// Parse reads an expression whose result is true or false. The error is one sentence that says what is
// wrong and where.
func Parse(source string, names Vocabulary) (*Expr, error) {
	if len(source) > maxLength {
		return nil, fmt.Errorf("the expression is longer than %d bytes", maxLength)
	}
	tokens, err := scan(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, names: names}
	t, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if next := p.peek(); next.kind != end {
		return nil, unexpected(next)
	}
	if t.typ != Bool {
		return nil, fmt.Errorf("the expression must be true or false, but is %s", t.typ)
	}
	return &Expr{eval: t.eval}, nil
}

func as[T any](v any) T {
	t, _ := v.(T)
	return t
}
