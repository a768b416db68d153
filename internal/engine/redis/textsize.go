package redis

import (
	"unicode"
	"unicode/utf8"
	"unsafe"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
)

// isLarge reports whether the arguments of a command are so many bytes that its record has to be no larger than they are.
func isLarge(args [][]byte) bool {
	return lenOf(args) >= engine.LargeMessage
}

func lenOf(args [][]byte) (total int) {
	for _, arg := range args {
		total += len(arg)
	}
	return total
}

// form is how an argument that is no secret is recorded.
type form struct {
	apart  bool // among the parameters
	binary bool // and there in base64
}

func formOf(arg []byte, large bool) form {
	if len(arg) > longArgument {
		return form{apart: true, binary: !utf8.Valid(arg)}
	}
	swells := large && swells(arg)
	return form{apart: swells, binary: swells}
}

// swells reports whether an argument is longer by half, and more than what a place among the parameters takes, when it is
// shown in an event.
func swells(arg []byte) bool {
	const apart = 24
	if len(arg) < apart/4 {
		return false
	}
	_, shown := shownLen(arg)
	return shown > len(arg)+len(arg)/2+apart
}

// shownLen returns how many bytes appendArgument appends at most, and how many those are in an event.
func shownLen(arg []byte) (text, event int) {
	text, event = len(arg)+len(`""`), len(arg)+len(`\"\"`)
	for i := 0; i < len(arg); i++ {
		c := arg[i]
		if plain[c] || c == ' ' || c == '\'' {
			continue
		}
		switch {
		case c == '"' || c == '\\':
			text++
			event += 3
		case c == '\n' || c == '\r' || c == '\t':
			text++
			event += 2
		default:
			if r, size := utf8.DecodeRune(arg[i:]); r != utf8.RuneError && unicode.IsPrint(r) {
				i += size - 1
				continue
			}
			text += 3
			event += 4
		}
	}
	return text, event
}

// recordSize is what the record of a large command takes.
type recordSize struct {
	text       int // bytes, at most
	event      int // bytes, about
	parameters int
}

// bytes returns how many bytes that is in all.
func (s *recordSize) bytes() int {
	return s.text + s.event + s.parameters*int(unsafe.Sizeof(audit.Parameter{}))
}

func measure(args [][]byte, secrets *secrets) (size recordSize) {
	const number = len(`$1234567`)
	total := lenOf(args) // more than the parameters have, which makes no difference to so many bytes
	for i, arg := range args {
		text, event := number, number
		switch form := formOf(arg, true); {
		case secrets.has(i):
			text = len(secrets.shown(i, arg)) + len(mask)
			event = text
		case form.apart:
			v := audit.Parameter{Value: arg, Binary: form.binary}
			event += v.Size(total)
			size.parameters++
		default:
			text, event = shownLen(arg)
		}
		size.text += text + len(" ")
		size.event += event + len(" ")
	}
	return size
}
