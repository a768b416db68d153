package predicate

import (
	"fmt"
	"strconv"
	"strings"
)

type kind int

const (
	end kind = iota
	word
	text
	punct
)

type token struct {
	kind  kind
	value string
	pos   int // column, counted from 1
}

func unexpected(t token) error {
	if t.kind == end {
		return fmt.Errorf("the expression ends too early")
	}
	return fmt.Errorf("unexpected %q at column %d", t.value, t.pos)
}

// scan splits an expression into words, strings and punctuation, closed by an end token.
func scan(source string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(source); {
		c := source[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '"' || c == '\'' || c == '`':
			value, length, err := scanString(source[i:])
			if err != nil {
				return nil, fmt.Errorf("%w at column %d", err, i+1)
			}
			tokens = append(tokens, token{text, value, i + 1})
			i += length
		case isLetter(c):
			start := i
			for i < len(source) && (isLetter(source[i]) || source[i] >= '0' && source[i] <= '9') {
				i++
			}
			tokens = append(tokens, token{word, source[start:i], start + 1})
		case i+1 < len(source) && strings.Contains("&& || == != ", source[i:i+2]+" "):
			tokens = append(tokens, token{punct, source[i : i+2], i + 1})
			i += 2
		case strings.IndexByte("!()[],.", c) >= 0:
			tokens = append(tokens, token{punct, string(c), i + 1})
			i++
		default:
			return nil, fmt.Errorf("unexpected %q at column %d", c, i+1)
		}
	}
	return append(tokens, token{kind: end, pos: len(source) + 1}), nil
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// scanString reads a quoted string. Double quotes take the escapes of Go; single and back quotes take none.
func scanString(source string) (value string, length int, err error) {
	quote := source[0]
	for i := 1; i < len(source); i++ {
		switch {
		case source[i] == '\\' && quote == '"':
			i++
		case source[i] == quote:
			if quote != '"' {
				return source[1:i], i + 1, nil
			}
			value, err := strconv.Unquote(source[:i+1])
			if err != nil {
				return "", 0, fmt.Errorf("bad string")
			}
			return value, i + 1, nil
		}
	}
	return "", 0, fmt.Errorf("unclosed string")
}
