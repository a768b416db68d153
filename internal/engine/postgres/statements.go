package postgres

import (
	"sallyport/internal/audit"
)

// statement is a prepared statement.
type statement struct {
	name  string
	text  []byte
	types []uint32 // object ids of the parameters' types, as far as known
}

// portal is a statement with values. One that is replaced may be used again by the goroutine that reads
// from the client; nobody else writes to it.
type portal struct {
	name       string
	statement  *statement // nil when its text was never seen here, as with PREPARE in SQL
	named      string     // what the client called the statement
	values     []byte     // the values' bytes, one after the other
	parameters []audit.Parameter
	shown      []audit.Parameter // with binary values as text where that is possible
	converted  []byte            // those texts
}

// size is what a portal keeps of its Bind.
func (p *portal) size() int { return len(p.values) }

// names is what one kind of name stands for: as far as the database has confirmed it, and as far as the client
// has asked for it since.
//
// A client may send many messages ahead. Up to the next Sync each of them takes the success of the ones before
// it for granted, because the database skips them otherwise. What stands behind that Sync does not.
type names[T any] struct {
	settled map[string]T
	pending map[string]definition[T] // the last one for each name
}

// definition is a change of a name's meaning that the database has not answered.
type definition[T any] struct {
	value   T     // zero when the name is closed
	segment int64 // the number of Syncs before it
	id      int64 // tells definitions of one name apart
}

// lookUp returns what a name means for a message of the segment, zero for nothing; wait is set when that
// depends on an answer which is still to come.
func (n *names[T]) lookUp(name []byte, segment int64) (value T, wait bool) {
	if d, ok := n.pending[string(name)]; ok {
		return d.value, d.segment != segment
	}
	return n.settled[string(name)], false
}

func (n *names[T]) define(name string, d definition[T]) {
	if n.pending == nil {
		n.pending = make(map[string]definition[T])
	}
	n.pending[name] = d
}

// settle makes a definition the truth, and returns what it replaces.
func (n *names[T]) settle(name string, id int64, value T) (old T) {
	n.forget(name, id)
	if n.settled == nil {
		n.settled = make(map[string]T)
	}
	old = n.settled[name]
	n.settled[name] = value
	return old
}

// forget drops a definition that the database did not accept.
func (n *names[T]) forget(name string, id int64) {
	if d, ok := n.pending[name]; ok && d.id == id {
		delete(n.pending, name)
	}
}

// drop removes a settled name, and returns what it stood for.
func (n *names[T]) drop(name string) (old T) {
	old = n.settled[name]
	delete(n.settled, name)
	return old
}

func (n *names[T]) count() int { return len(n.settled) + len(n.pending) }

// deallocated returns the name in a statement that does nothing but DEALLOCATE one prepared statement.
// Anything it does not understand it leaves alone: the name then stays known for longer than needed.
func deallocated(text []byte) (name string, ok bool) {
	word, rest := cutWord(text)
	if !equalFold(word, "deallocate") {
		return "", false
	}
	word, after := cutWord(rest)
	if equalFold(word, "prepare") {
		word, after = cutWord(after)
	}
	if len(word) == 0 || equalFold(word, "all") {
		return "", false
	}
	for len(after) > 0 && (isSpace(after[0]) || after[0] == ';') {
		after = after[1:]
	}
	if len(after) > 0 {
		return "", false
	}
	if word[0] == '"' {
		return string(word[1 : len(word)-1]), true
	}
	return string(lower(word)), true
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
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded[i] = c
	}
	return folded
}
