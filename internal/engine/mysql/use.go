package mysql

import (
	"bytes"
	"strings"
)

// mayUse reports whether a text may go to another logical database: it has the word, or that of statements that are put
// together while they run, or is too long to be looked through. The commands behind it are recorded once it is known where they go.
func mayUse(text []byte) bool {
	if len(text) > maxScanned {
		return true
	}
	for {
		at := bytes.IndexAny(text, "uU")
		if at < 0 || len(text) < at+len("use") {
			return false
		}
		if next := text[at+1 : at+3]; is(next, "se") || is(next, "te") && at >= 4 && is(text[at-4:at], "exec") {
			return true
		}
		text = text[at+1:]
	}
}

func is(text []byte, word string) bool { return strings.EqualFold(string(text), word) }
