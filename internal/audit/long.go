package audit

import (
	"slices"
	"unicode/utf8"
)

const (
	longText = 64 << 10 // from here on a text is looked at before it is printed
	longHead = 1 << 10  // of a long text that is not printed as it is
)

// printable reports whether a text is printed so that it stands for exactly its bytes, and how long it is then. A
// long one that escaping would make longer than base64 does is not.
func printable[T string | []byte](text T) (size int, ok bool) {
	size, exact := quotedLen(text)
	return size, exact && (len(text) <= longText || size <= 2+len(text)/3*4)
}

// quotedLen returns what appendQuoted would append, and whether that is exact.
func quotedLen[T string | []byte](text T) (size int, exact bool) {
	size, exact = 2+len(text), true
	for i := 0; i < len(text); {
		i += plainLen(text[i:])
		if i == len(text) {
			break
		}
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			if n := runeLen(text[i:]); n > 0 {
				i += n
				continue
			}
			exact = false
			size += len("\uFFFD") - 1
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			size++
		default:
			size += len(`\u0000`) - 1
		}
		i++
	}
	return size, exact
}

// appendLong appends a long text as far as it is printed: all of it, or its beginning.
func appendLong[T string | []byte](b []byte, text T) (printed []byte, exact bool) {
	size, ok := printable(text)
	if ok {
		return appendQuoted(slices.Grow(b, size+longHead), text)
	}
	head := text[:longHead]
	for len(head) > longHead-utf8.UTFMax && !utf8.RuneStart(text[len(head)]) {
		head = head[:len(head)-1]
	}
	b, _ = appendQuoted(b, head)
	return b, false
}

// appendPrinted appends a text of any length.
func appendPrinted[T string | []byte](b []byte, text T) (printed []byte, exact bool) {
	if len(text) > longText {
		return appendLong(b, text)
	}
	return appendQuoted(b, text)
}
