package redis

import (
	"unicode"
	"unicode/utf8"
)

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
