package postgres

import "bytes"

// touches says which names a text may give another meaning when it is executed.
type touches uint8

const (
	touchesStatements touches = 1 << iota
	touchesPortals
	touchesAll = touchesStatements | touchesPortals
)

// maxSkipping bounds, as a multiple of a text's length, how much of its comments is looked at.
const maxSkipping = 4

// touchedBy returns what the statements of a text may redefine. It looks behind every semicolon, also those
// in literals and comments, so it finds too much rather than too little.
func touchedBy(text []byte) touches {
	all, skipped := touchedFirst(text)
	for limit := maxSkipping * len(text); all != touchesAll; {
		i := bytes.IndexByte(text, ';')
		if i < 0 {
			break
		}
		text = text[i+1:]
		found, n := touchedFirst(text)
		all |= found
		if skipped += n; skipped > limit {
			return touchesAll
		}
	}
	return all
}

// touchedFirst is touchedBy for the first statement only. It returns how much stands before that, too.
func touchedFirst(text []byte) (found touches, skipped int) {
	rest := skipBlank(text)
	var folded [len("deallocate")]byte
	n := 0
	for ; n < len(rest) && isWord(rest[n]); n++ {
		if n == len(folded) {
			return 0, len(text) - len(rest)
		}
		folded[n] = lowerByte(rest[n])
	}
	switch string(folded[:n]) {
	case "deallocate":
		found = touchesStatements
	case "do", "call", "discard", "prepare": // also PREPARE TRANSACTION
		found = touchesAll
	case "close", "declare", "commit", "end", "rollback", "abort":
		found = touchesPortals
	}
	return found, len(text) - len(rest)
}

// skipBlank returns what begins behind white space and comments.
func skipBlank(text []byte) []byte {
	for len(text) > 0 {
		switch {
		case isSpace(text[0]):
			text = text[1:]
		case bytes.HasPrefix(text, []byte("--")):
			end := bytes.IndexAny(text, "\r\n")
			if end < 0 {
				return nil
			}
			text = text[end:]
		case bytes.HasPrefix(text, []byte("/*")):
			text = skipComment(text)
		default:
			return text
		}
	}
	return nil
}

// skipComment cuts a comment off, with those that are nested in it.
func skipComment(text []byte) []byte {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch {
		case text[i] == '/' && text[i+1] == '*':
			depth++
			i++
		case text[i] == '*' && text[i+1] == '/':
			i++
			if depth--; depth == 0 {
				return text[i+1:]
			}
		}
	}
	return nil
}

// change is what one statement does to the names of prepared statements.
type change struct {
	name string // lower case where it was not quoted; empty when all are meant, or none
	text []byte // of PREPARE; nil when the name is freed
}

// understand returns what a text does that is one simple statement and nothing else: PREPARE, DEALLOCATE or
// DISCARD. It returns nil for everything that it does not understand.
func understand(text []byte) *change {
	word, rest := cutWord(skipBlank(text))
	rest = bytes.TrimRight(rest, "; \t\r\n\v\f")
	switch {
	case equalFold(word, "discard"):
		if word, rest := cutWord(rest); len(word) > 0 && len(rest) == 0 {
			return &change{} // its tag tells whether anything was freed
		}
	case equalFold(word, "deallocate"):
		return understandDeallocate(rest)
	case equalFold(word, "prepare"):
		return understandPrepare(rest)
	}
	return nil
}

func understandDeallocate(rest []byte) *change {
	word, rest := cutWord(rest)
	if equalFold(word, "prepare") && len(rest) > 0 {
		word, rest = cutWord(rest)
	}
	if len(word) == 0 || len(rest) > 0 {
		return nil
	}
	if equalFold(word, "all") {
		return &change{}
	}
	return &change{name: fold(word)}
}

// understandPrepare reads name [ (types) ] AS text. A semicolon in the text may begin another statement.
func understandPrepare(rest []byte) *change {
	word, rest := cutWord(rest)
	if len(word) == 0 || len(fold(word)) > nameLimit || bytes.IndexByte(rest, ';') >= 0 {
		return nil
	}
	rest = skipBlank(rest)
	if len(rest) > 0 && rest[0] == '(' {
		rest = skipParentheses(rest)
	}
	as, text := cutWord(rest)
	if !equalFold(as, "as") || len(text) == 0 {
		return nil
	}
	return &change{name: fold(word), text: append([]byte(nil), bytes.TrimLeft(text, " \t\r\n\v\f")...)}
}

// skipParentheses cuts a list of types off.
func skipParentheses(text []byte) []byte {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[i+1:]
			}
		case '"', '/', '-':
			return nil
		}
	}
	return nil
}

// fold returns the name that a word stands for.
func fold(word []byte) string {
	if word[0] == '"' {
		return string(word[1 : len(word)-1])
	}
	return string(lower(word))
}

// cutWord cuts the next identifier or keyword off, in its quotes if it has some.
func cutWord(text []byte) (word, rest []byte) {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	end := 0
	if len(text) > 0 && text[0] == '"' {
		for end = 1; end < len(text) && text[end] != '"'; end++ {
		}
		if end == len(text) || end == 1 || end+1 < len(text) && text[end+1] == '"' {
			return nil, text
		}
		end++
	} else {
		for end < len(text) && isWord(text[end]) {
			end++
		}
	}
	return text[:end], text[end:]
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func equalFold(word []byte, keyword string) bool {
	return len(word) == len(keyword) && string(lower(word)) == keyword
}

// lower folds ASCII letters, as SQL folds keywords.
func lower(word []byte) []byte {
	folded := make([]byte, len(word))
	for i, c := range word {
		folded[i] = lowerByte(c)
	}
	return folded
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
