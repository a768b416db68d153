package mysql

import (
	"bytes"
	"slices"
	"strings"

	"sallyport/internal/mysqlwire"
)

// A server may answer any statement with a wish for a file of the client ("LOCAL INFILE Request"). It is passed on only
// if the user's roles allow such wishes at all, and the user's own statement asks for that very file.

// filesIn returns the names of the files that LOAD DATA LOCAL INFILE and LOAD XML LOCAL INFILE in a text ask for.
// Spellings that are not understood, such as ones within comments of a version, name nothing.
func filesIn(text []byte) []string {
	const shortest = len("LOAD XML LOCAL INFILE ''")
	if len(text) < shortest || !bytes.ContainsAny(text, "iI") || !bytes.Contains(bytes.ToUpper(text[:min(len(text), maxScanned)]), []byte("INFILE")) {
		return nil
	}
	var files []string
	var words []string // of the statement, as far as it may still be one
	for s := (scanner{rest: text}); ; {
		kind, token := s.next()
		switch kind {
		case tokenEnd:
			return files
		case tokenWord:
			if words = append(words, strings.ToUpper(token)); !isPrefixOfLoad(words) {
				words = nil
			}
		case tokenText:
			if isLoad(words) && len(token) <= maxFileName && len(files) < maxFiles {
				files = append(files, token)
			}
			words = nil
		default:
			words = nil
		}
	}
}

const (
	maxScanned  = 64 << 10 // of a text are searched for the word: such a statement is short
	maxFileName = 4 << 10  // bytes of a path (Linux, PATH_MAX)
	maxFiles    = 64       // of one text; the names are kept until it is answered
)

func isLoad(words []string) bool {
	return isPrefixOfLoad(words) && len(words) > 0 && words[len(words)-1] == "INFILE"
}

// isPrefixOfLoad reports whether words begin LOAD {DATA|XML} [LOW_PRIORITY|CONCURRENT] LOCAL INFILE.
func isPrefixOfLoad(words []string) bool {
	rest := words
	for _, step := range [][]string{{"LOAD"}, {"DATA", "XML"}, {"LOW_PRIORITY", "CONCURRENT", ""}, {"LOCAL"}, {"INFILE"}} {
		if len(rest) == 0 {
			return true
		}
		if slices.Contains(step, rest[0]) {
			rest = rest[1:]
		} else if !slices.Contains(step, "") {
			return false
		}
	}
	return len(rest) == 0
}

// Kinds of tokens.
const (
	tokenEnd = iota
	tokenWord
	tokenText  // between quotation marks
	tokenOther // anything else that is no space or comment
)

// scanner takes SQL apart, roughly.
type scanner struct{ rest []byte }

func (s *scanner) next() (kind int, token string) {
	for len(s.rest) > 0 {
		switch b := s.rest[0]; {
		case b == ' ' || b >= 9 && b <= 13:
			s.rest = s.rest[1:]
		case b == '#', bytes.HasPrefix(s.rest, []byte("-- ")), bytes.HasPrefix(s.rest, []byte("--\n")):
			s.skipPast("\n")
		case bytes.HasPrefix(s.rest, []byte("/*")):
			s.rest = s.rest[2:]
			s.skipPast("*/")
		case b == '\'', b == '"', b == '`':
			text := s.quoted(b)
			if b == '`' {
				return tokenOther, ""
			}
			return tokenText, text
		case isWordByte(b):
			n := slices.IndexFunc(s.rest, func(b byte) bool { return !isWordByte(b) })
			if n < 0 {
				n = len(s.rest)
			}
			word := string(s.rest[:n])
			s.rest = s.rest[n:]
			return tokenWord, word
		default:
			s.rest = s.rest[1:]
			return tokenOther, ""
		}
	}
	return tokenEnd, ""
}

func isWordByte(b byte) bool {
	return b == '_' || b == '$' || b == '@' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80
}

func (s *scanner) skipPast(end string) {
	if i := bytes.Index(s.rest, []byte(end)); i >= 0 {
		s.rest = s.rest[i+len(end):]
	} else {
		s.rest = nil
	}
}

// quoted reads a text with its backslashes and doubled marks resolved, as the server does by default.
func (s *scanner) quoted(mark byte) string {
	var text []byte
	for i := 1; i < len(s.rest); i++ {
		switch b := s.rest[i]; {
		case b == '\\' && mark != '`' && i+1 < len(s.rest):
			i++
			text = append(text, escaped(s.rest[i])...)
		case b == mark && i+1 < len(s.rest) && s.rest[i+1] == mark:
			i++
			text = append(text, mark)
		case b == mark:
			s.rest = s.rest[i+1:]
			return string(text)
		default:
			text = append(text, b)
		}
	}
	s.rest = nil
	return ""
}

// escaped returns what a backslash makes of a byte.
func escaped(b byte) []byte {
	const names, bytes = "0bnrtZ", "\x00\b\n\r\t\x1a"
	if i := strings.IndexByte(names, b); i >= 0 {
		return []byte{bytes[i]}
	}
	return []byte{b}
}

// wantsFile is the database's wish for a file in answer to the current command.
func (r *relay) wantsFile(payload []byte) error {
	q := &r.fromServer.current
	name := string(payload[1:])
	if r.flags&mysqlwire.LocalFiles == 0 || !slices.Contains(q.files, name) {
		return desynchronised("a wish for the file %.200q, for which the statement did not ask", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, q.sent = true, true
	r.changed.Broadcast()
	return nil
}

// awaitFile waits for what the database makes of a statement that asks for a file: what the client sends next depends
// on that.
func (r *relay) awaitFile() error {
	c := &r.fromClient
	if err := r.await(func() bool { return r.file || r.unanswered() == 0 }); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.asked, c.sending, c.next = false, r.file, -1
	return nil
}

// filePacket takes the header of a packet of a file. An empty packet is its end. The packets go on with the sequence numbers of the
// request for the file, while each command starts at 0: a database that has stopped reading the file can thus not take one of them for
// a command, which we insist on.
func (r *relay) filePacket(frame []byte) error {
	c := &r.fromClient
	size, sequence := mysqlwire.Size(frame)
	if c.next < 0 && sequence == 0 || c.next >= 0 && sequence != byte(c.next) {
		return r.recordMalformed(frame[:mysqlwire.HeaderSize], errSequence)
	}
	c.next = int(sequence + 1)
	c.inbox.Scanned += mysqlwire.HeaderSize
	c.skip = int64(size)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copied += int64(size)
	if size == 0 {
		c.sending, r.file = false, false
		c.asked = true // a text may have several such statements
	}
	return nil
}
