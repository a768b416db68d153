package mysql

import "bytes"

// mayUse reports whether a text may leave the session in another logical database: it has a word of statements that do, or of such
// as run others, which are not known, or is too long to be looked through. The commands behind it are recorded once it is known
// where they go.
func mayUse(text []byte) bool {
	if len(text) > maxScanned {
		return true
	}
	for i, b := range text {
		switch b | 0x20 {
		case 'u':
			if hasWord(text, i, "use", 0) || hasWord(text, i, "execute", 4) {
				return true
			}
		case 'b':
			if hasWord(text, i, "database", 4) { // that is dropped, or replaced, while the session is in it
				return true
			}
		case 'h':
			if hasWord(text, i, "schema", 2) {
				return true
			}
		case 'c':
			if hasWord(text, i, "call", 0) {
				return true
			}
		}
	}
	return false
}

// hasWord reports whether the word is in the text so that its byte at that place is the one at i. It may be a part of a longer word.
func hasWord(text []byte, i int, word string, at int) bool {
	begin := i - at
	return begin >= 0 && begin+len(word) <= len(text) && bytes.EqualFold(text[begin:begin+len(word)], []byte(word))
}
