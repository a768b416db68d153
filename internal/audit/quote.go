package audit

import "unicode/utf8"

// Quote returns text as it stands inside the quotes of a string in an event.
func Quote(text string) []byte {
	quoted, _ := appendQuoted(nil, text)
	return quoted[1 : len(quoted)-1]
}

// appendQuoted appends text as a JSON string (RFC 8259) and reports whether it stands for exactly
// these bytes, which it does unless the text is not valid UTF-8. Only what must be escaped is.
func appendQuoted[T string | []byte](b []byte, text T) (quoted []byte, exact bool) {
	b = append(b, '"')
	exact = true
	start := 0 // of what is not yet copied
	for i := 0; i < len(text); {
		i += plainLen(text[i:])
		if i == len(text) {
			break
		}
		c := text[i]
		if c >= utf8.RuneSelf {
			size := runeLen(text[i:])
			if size > 0 {
				i += size
				continue
			}
			exact = false
			b = append(b, text[start:i]...)
			b = append(b, "\uFFFD"...)
		} else {
			b = append(b, text[start:i]...)
			b = appendEscaped(b, c)
		}
		i++
		start = i
	}
	b = append(b, text[start:]...)
	return append(b, '"'), exact
}

// appendEscaped appends a character that may not stand in a JSON string as it is.
func appendEscaped(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	default:
		return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
}

// plainLen counts the leading characters that are printable ASCII and need no escape. Statements are
// long and nearly all plain, so it looks at eight bytes at a time.
func plainLen[T string | []byte](text T) int {
	const (
		low  = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(text); i += 8 {
		word := uint64(text[i]) | uint64(text[i+1])<<8 | uint64(text[i+2])<<16 | uint64(text[i+3])<<24 |
			uint64(text[i+4])<<32 | uint64(text[i+5])<<40 | uint64(text[i+6])<<48 | uint64(text[i+7])<<56
		quote := word ^ low*'"'
		slash := word ^ low*'\\'
		// The high bit of a byte ends up set where it is below 0x20, a quote, a backslash or not ASCII;
		// borrows may set it in bytes above such a one, which only ends the loop a little early.
		if (word|(word-low*0x20)|(quote-low)|(slash-low))&high != 0 {
			break
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// runeLen returns the length of the valid multi-byte character at the start of text, or 0.
func runeLen[T string | []byte](text T) int {
	var first [utf8.UTFMax]byte
	n := copy(first[:], text)
	if _, size := utf8.DecodeRune(first[:n]); size > 1 {
		return size
	}
	return 0
}
