package mysql

import "bytes"

// mayUse reports whether a text may go to another logical database: it has the word, or is too long to be looked through. The
// commands behind it are recorded once it is known where they go.
func mayUse(text []byte) bool {
	if len(text) > maxScanned {
		return true
	}
	for {
		at := bytes.IndexAny(text, "uU")
		if at < 0 || len(text) < at+len("use") {
			return false
		}
		if text[at+1]|0x20 == 's' && text[at+2]|0x20 == 'e' {
			return true
		}
		text = text[at+1:]
	}
}
