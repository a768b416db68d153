package redis

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
)

const keptText = 16 << 10

var mask = []byte("****")

// recorder makes records of commands. It is used by one goroutine.
type recorder struct {
	text       []byte
	parameters []audit.Parameter
	event      audit.DatabaseQuery
}

// forget ends the validity of the last record, and keeps little room.
func (r *recorder) forget() {
	if r.text = r.text[:0]; cap(r.text) > keptText {
		r.text = nil
	}
	clear(r.parameters)
	if r.parameters = r.parameters[:0]; cap(r.parameters) > engine.KeptRequests {
		r.parameters = nil
	}
	r.event = audit.DatabaseQuery{}
}

// query returns the record of a command: its arguments, parted by spaces, each as redis-cli shows it where it has
// spaces, quotes or unprintable bytes. A long one stands among the parameters, and its number in its place: $1; of a large
// command also one that this would make much longer. A secret is masked. The record is valid until the next call.
func (r *recorder) query(c *reading) *audit.DatabaseQuery {
	r.forget()
	if c.size.text > 0 {
		r.text = slices.Grow(r.text, c.size.text)
		r.parameters = slices.Grow(r.parameters, c.size.parameters)
	}
	for i, arg := range c.args {
		if i > 0 {
			r.text = append(r.text, ' ')
		}
		switch form := c.form(i); form {
		case masked:
			r.text = append(r.text, c.secrets.shown(i, arg)...)
			r.text = append(r.text, mask...)
		case apart, apartInBase64:
			r.parameters = append(r.parameters, audit.Parameter{Value: arg, Binary: form == apartInBase64})
			r.text = append(r.text, '$')
			r.text = appendNumber(r.text, len(r.parameters))
		default:
			r.text = appendArgument(r.text, arg)
		}
	}
	r.event = audit.DatabaseQuery{Query: r.text, Parameters: r.parameters, Masked: c.secrets.any()}
	return &r.event
}

func appendNumber(b []byte, n int) []byte {
	if n >= 10 {
		b = appendNumber(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

// plain has the bytes that stand for themselves.
var plain = func() (table [256]bool) {
	for c := '!'; c <= '~'; c++ {
		table[c] = c != '"' && c != '\'' && c != '\\'
	}
	return table
}()

// appendArgument appends an argument so that it can be told from the others, and from a number of a parameter and a
// masked secret.
func appendArgument(b, arg []byte) []byte {
	simple := len(arg) > 0 && arg[0] != '$' && arg[0] != '*'
	for _, c := range arg {
		if !plain[c] {
			simple = false
			break
		}
	}
	if simple {
		return append(b, arg...)
	}
	return appendQuoted(b, arg)
}

func appendQuoted(b, arg []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for len(arg) > 0 {
		c := arg[0]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c >= ' ' && c <= '~':
			b = append(b, c)
		default:
			if r, size := utf8.DecodeRune(arg); r != utf8.RuneError && unicode.IsPrint(r) { // nothing that a terminal obeys
				b = append(b, arg[:size]...)
				arg = arg[size:]
				continue
			}
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		}
		arg = arg[1:]
	}
	return append(b, '"')
}
