package redis

import (
	"bytes"
	"crypto/sha1" // by which the server names scripts
	"encoding/hex"
)

const maxScripts = 8 << 20 // bytes of their texts

// scripts are the texts that the client has sent, by the names that the server gives them. It is used by one goroutine.
type scripts struct {
	texts map[string][]byte
	size  int
}

// keep notes a text. When there is no room, what was there is forgotten: the client will be asked for it again.
func (s *scripts) keep(text []byte) {
	if len(text) > maxScripts {
		return
	}
	sum := sha1.Sum(text)
	name := hex.EncodeToString(sum[:])
	if _, ok := s.texts[name]; ok {
		return
	}
	if s.texts == nil || s.size+len(text) > maxScripts {
		s.texts, s.size = make(map[string][]byte), 0
	}
	s.texts[name] = bytes.Clone(text)
	s.size += len(text)
}

// text returns the text of a script, or nil.
func (s *scripts) text(name []byte) []byte {
	return s.texts[string(bytes.ToLower(name))]
}
