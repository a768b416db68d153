package audit

import (
	"encoding/json"
	"errors"
	"strconv"
)

// maxDepth bounds how deep objects and lists may be nested in an event.
const maxDepth = 200

var (
	errEnd      = errors.New("unexpected end")
	errSyntax   = errors.New("unexpected character")
	errTooDeep  = errors.New("nested too deep")
	errNotAKey  = errors.New("a key with an escape")
	errControl  = errors.New("a control character in a string")
	errEscape   = errors.New("not an escape")
	errNotANumb = errors.New("not a number in the range of 64 bits")
)

// scanner reads JSON without any white space between tokens from text, which is valid UTF-8.
type scanner struct {
	text []byte
	pos  int
}

// next returns the next character without taking it, or 0 at the end.
func (s *scanner) next() byte {
	if s.pos == len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// take takes the next character if it is c.
func (s *scanner) take(c byte) error {
	switch s.next() {
	case c:
		s.pos++
		return nil
	case 0:
		return errEnd
	default:
		return errSyntax
	}
}

// object reads an object; field reads the value of each key.
func (s *scanner) object(field func(key []byte) error) error {
	return s.list('{', '}', func() error {
		if s.next() != '"' {
			return errSyntax
		}
		key, escaped, err := s.string()
		if err != nil {
			return err
		}
		if escaped {
			return errNotAKey
		}
		if err := s.take(':'); err != nil {
			return err
		}
		return field(key)
	})
}

// list reads elements separated by commas between two brackets.
func (s *scanner) list(from, to byte, element func() error) error {
	if err := s.take(from); err != nil {
		return err
	}
	if s.next() == to {
		s.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.next() == ',' {
			s.pos++
			continue
		}
		return s.take(to)
	}
}

// value reads any value without looking at it.
func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	switch c := s.next(); c {
	case 0:
		return errEnd
	case '"':
		_, _, err := s.string()
		return err
	case '[':
		return s.list('[', ']', func() error { return s.value(depth + 1) })
	case '{':
		return s.list('{', '}', func() error { return s.member(depth) })
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// member reads a key, which may come from outside and have escapes here, and its value.
func (s *scanner) member(depth int) error {
	if s.next() != '"' {
		return errSyntax
	}
	if _, _, err := s.string(); err != nil {
		return err
	}
	if err := s.take(':'); err != nil {
		return err
	}
	return s.value(depth + 1)
}

// string reads a string and returns what stands between its quotes, and whether that has escapes.
func (s *scanner) string() (raw []byte, escaped bool, err error) {
	if err := s.take('"'); err != nil {
		return nil, false, err
	}
	start := s.pos
	for {
		s.pos += plainLen(s.text[s.pos:])
		if s.pos == len(s.text) {
			return nil, false, errEnd
		}
		switch c := s.text[s.pos]; {
		case c == '"':
			raw = s.text[start:s.pos]
			s.pos++
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < 0x20:
			return nil, false, errControl
		default: // part of a character beyond ASCII
			s.pos++
		}
	}
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape() error {
	rest := s.text[s.pos+1:]
	if len(rest) == 0 {
		return errEnd
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if len(rest) < 5 {
			return errEnd
		}
		for _, c := range rest[1:5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return errEscape
			}
		}
		s.pos += 6
		return nil
	default:
		return errEscape
	}
}

// unquoted reads a string and returns its meaning.
func (s *scanner) unquoted() (string, error) {
	start := s.pos
	raw, escaped, err := s.string()
	if err != nil || !escaped {
		return string(raw), err
	}
	var text string
	err = json.Unmarshal(s.text[start:s.pos], &text)
	return text, err
}

func (s *scanner) literal(word string) error {
	if len(s.text)-s.pos < len(word) || string(s.text[s.pos:s.pos+len(word)]) != word {
		return errSyntax
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) boolean() (bool, error) {
	if s.next() == 't' {
		return true, s.literal("true")
	}
	return false, s.literal("false")
}

// integer reads a whole number.
func (s *scanner) integer() (int64, error) {
	start := s.pos
	if err := s.number(); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(s.text[start:s.pos]), 10, 64)
	if err != nil {
		return 0, errNotANumb
	}
	return n, nil
}

// number reads -?int frac? exp? of RFC 8259, section 6.
func (s *scanner) number() error {
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return errSyntax
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return errSyntax
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.text) && s.text[s.pos] == c }

// digits takes digits and reports whether there were any.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}
