package mysql

import "bytes"

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
		use := bytes.EqualFold(text[at:at+3], []byte("use"))
		if use || at >= 4 && bytes.EqualFold(text[at-4:at+3], []byte("execute")) {
			return true
		}
		text = text[at+1:]
	}
}
