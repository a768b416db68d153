package redis

import (
	"bytes"
	"crypto/sha1" // by which the server names scripts
	"encoding/hex"
	"slices"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

const (
	maxScripts = 8 << 20 // bytes that a session keeps of them
	besideText = 256     // bytes that one takes beside its text: for its name, and its place in a map
)

// scripts are the texts that the client has sent, by the names that the server gives them. It is used by one goroutine.
type scripts struct {
	texts map[string][]byte
	kept  engine.Kept
}

// keep notes a text. When there is no room, what was there is forgotten: the client will be asked for it again. It reports false
// when there is no room all the same.
func (s *scripts) keep(text []byte) bool {
	sum := sha1.Sum(text)
	name := hex.EncodeToString(sum[:])
	if _, ok := s.texts[name]; ok {
		return true
	}
	size := len(text) + besideText
	if size > maxScripts {
		return false
	}
	if s.kept.Bytes()+size > maxScripts || !s.kept.Add(size) {
		s.forget()
		if !s.kept.Add(size) {
			return false
		}
	}
	if s.texts == nil {
		s.texts = make(map[string][]byte)
	}
	s.texts[name] = bytes.Clone(text)
	return true
}

func (s *scripts) forget() {
	s.texts = nil
	s.kept.RemoveAll()
}

// text returns the text of a script, or nil.
func (s *scripts) text(name []byte) []byte {
	if len(name) != hex.EncodedLen(sha1.Size) {
		return nil
	}
	return s.texts[string(bytes.ToLower(name))]
}

// keepScript notes the text that a command brings. It refuses one that is only loaded, and that could not be recorded when it is
// executed by its name.
func (r *relay) keepScript(c *command, args [][]byte) *refusal {
	switch {
	case c == nil:
	case c.role == eval && len(args) > 1:
		r.fromClient.scripts.keep(args[1])
	case c.role == scriptLoad && len(args) > 2 && !r.fromClient.scripts.keep(args[2]):
		return refuse(codeError, "there is no room to keep the text of the script, which is recorded whenever it is executed by its name; try again later, or send it with EVAL each time")
	}
	return nil
}

// askForKnown returns what is sent in place of SCRIPT EXISTS when it asks for scripts whose texts the client has not sent in this
// session, or nil. For those it asks for the empty name, which no script has, so that they do not exist: clients then send the texts, as
// EVALSHA needs them here. It is no longer than the command.
func (r *relay) askForKnown(c *command, args [][]byte) []byte {
	if c.role != scriptExists {
		return nil
	}
	known := slices.Clone(args)
	for i := 2; i < len(args); i++ {
		if r.fromClient.scripts.text(args[i]) == nil {
			known[i] = nil
		}
	}
	return resp.AppendCommand(nil, known...)
}
