package predicate

import (
	"fmt"
	"slices"
	"strings"
)

// term is a part of an expression: its type and how to compute it. literal is set when it is a string
// constant, exists when it reads a map.
type term struct {
	typ     Type
	eval    func(Values) any
	literal *string
	exists  func(Values) bool
}

// parser is a recursive-descent parser:
//
//	or      = and { "||" and }
//	and     = compare { "&&" compare }
//	compare = unary [ ("==" | "!=") unary ]
//	unary   = "!" unary | "(" or ")" | string | "true" | "false" | name [ "[" or "]" ] | name "(" [ or { "," or } ] ")"
//	name    = word { "." word }
type parser struct {
	tokens []token
	next   int
	names  Vocabulary
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != end {
		p.next++
	}
	return t
}

func (p *parser) accept(value string) bool {
	if t := p.peek(); t.kind == punct && t.value == value {
		p.next++
		return true
	}
	return false
}

func (p *parser) expect(value string) error {
	if !p.accept(value) {
		if t := p.peek(); t.kind != end {
			return fmt.Errorf("expected %q instead of %q at column %d", value, t.value, t.pos)
		}
		return fmt.Errorf("the expression ends where %q is expected", value)
	}
	return nil
}

func (p *parser) or(depth int) (term, error) {
	return p.chain(depth, "||", p.and, func(a, b func(Values) any) func(Values) any {
		return func(v Values) any { return as[bool](a(v)) || as[bool](b(v)) }
	})
}

func (p *parser) and(depth int) (term, error) {
	return p.chain(depth, "&&", p.compare, func(a, b func(Values) any) func(Values) any {
		return func(v Values) any { return as[bool](a(v)) && as[bool](b(v)) }
	})
}

func (p *parser) chain(depth int, operator string, operand func(int) (term, error), join func(a, b func(Values) any) func(Values) any) (term, error) {
	left, err := operand(depth)
	if err != nil {
		return term{}, err
	}
	for {
		pos := p.peek().pos
		if !p.accept(operator) {
			return left, nil
		}
		right, err := operand(depth)
		if err != nil {
			return term{}, err
		}
		if left.typ != Bool || right.typ != Bool {
			return term{}, fmt.Errorf("%q at column %d needs conditions on both sides", operator, pos)
		}
		left = term{typ: Bool, eval: join(left.eval, right.eval)}
	}
}

func (p *parser) compare(depth int) (term, error) {
	left, err := p.unary(depth)
	if err != nil {
		return term{}, err
	}
	operator := p.peek()
	if !p.accept("==") && !p.accept("!=") {
		return left, nil
	}
	right, err := p.unary(depth)
	if err != nil {
		return term{}, err
	}
	equal, err := equality(left, right)
	if err != nil {
		return term{}, fmt.Errorf("%q at column %d: %w", operator.value, operator.pos, err)
	}
	want := operator.value == "=="
	return term{typ: Bool, eval: func(v Values) any { return equal(v) == want }}, nil
}

func equality(a, b term) (func(Values) bool, error) {
	switch {
	case a.typ != b.typ:
		return nil, fmt.Errorf("cannot compare %s with %s", a.typ, b.typ)
	case a.typ == String:
		return func(v Values) bool { return as[string](a.eval(v)) == as[string](b.eval(v)) }, nil
	case a.typ == Bool:
		return func(v Values) bool { return as[bool](a.eval(v)) == as[bool](b.eval(v)) }, nil
	case a.typ == List:
		return func(v Values) bool { return slices.Equal(as[[]string](a.eval(v)), as[[]string](b.eval(v))) }, nil
	default:
		return nil, fmt.Errorf("cannot compare whole maps")
	}
}

func (p *parser) unary(depth int) (term, error) {
	if depth > maxDepth {
		return term{}, fmt.Errorf("the expression is nested deeper than %d levels", maxDepth)
	}
	t := p.take()
	switch {
	case t.kind == text:
		return constant(t.value), nil
	case t.kind == word:
		return p.name(t, depth)
	case t.kind == punct && t.value == "!":
		operand, err := p.unary(depth + 1)
		if err != nil {
			return term{}, err
		}
		if operand.typ != Bool {
			return term{}, fmt.Errorf("\"!\" at column %d needs a condition after it", t.pos)
		}
		return term{typ: Bool, eval: func(v Values) any { return !as[bool](operand.eval(v)) }}, nil
	case t.kind == punct && t.value == "(":
		inner, err := p.or(depth + 1)
		if err != nil {
			return term{}, err
		}
		return inner, p.expect(")")
	default:
		return term{}, unexpected(t)
	}
}

func constant(s string) term {
	return term{typ: String, literal: &s, eval: func(Values) any { return s }}
}

func (p *parser) name(first token, depth int) (term, error) {
	name := first.value
	for p.accept(".") {
		part := p.take()
		if part.kind != word {
			return term{}, unexpected(part)
		}
		name += "." + part.value
	}
	if p.accept("(") {
		args, err := p.arguments(depth + 1)
		if err != nil {
			return term{}, err
		}
		t, err := call(name, args, p.names)
		if err != nil {
			return term{}, fmt.Errorf("%s at column %d: %w", name, first.pos, err)
		}
		return t, nil
	}
	if name == "true" || name == "false" {
		return term{typ: Bool, eval: func(Values) any { return name == "true" }}, nil
	}
	typ, ok := p.names[name]
	if !ok || strings.HasPrefix(name, "_") {
		return term{}, fmt.Errorf("the name %s at column %d is not known; use %s", name, first.pos, known(p.names))
	}
	if p.accept("[") {
		return p.index(name, typ, depth+1)
	}
	return term{typ: typ, eval: func(v Values) any { return v[name] }}, nil
}

func known(names Vocabulary) string {
	var list []string
	for name := range names {
		if !strings.HasPrefix(name, "_") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (p *parser) arguments(depth int) ([]term, error) {
	var args []term
	if p.accept(")") {
		return nil, nil
	}
	for {
		arg, err := p.or(depth)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		if !p.accept(",") {
			return args, p.expect(")")
		}
	}
}

func (p *parser) index(name string, typ Type, depth int) (term, error) {
	key, err := p.or(depth)
	if err != nil {
		return term{}, err
	}
	if err := p.expect("]"); err != nil {
		return term{}, err
	}
	if key.typ != String {
		return term{}, fmt.Errorf("the key of %s must be a string", name)
	}
	switch typ {
	case StringMap:
		return term{typ: String,
			eval:   func(v Values) any { return as[map[string]string](v[name])[as[string](key.eval(v))] },
			exists: func(v Values) bool { _, ok := as[map[string]string](v[name])[as[string](key.eval(v))]; return ok },
		}, nil
	case ListMap:
		return term{typ: List,
			eval:   func(v Values) any { return as[map[string][]string](v[name])[as[string](key.eval(v))] },
			exists: func(v Values) bool { return len(as[map[string][]string](v[name])[as[string](key.eval(v))]) > 0 },
		}, nil
	default:
		return term{}, fmt.Errorf("%s has no keys", name)
	}
}
