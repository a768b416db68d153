package mongowire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Flags of an OP_MSG.
const (
	ChecksumPresent = 1 << 0
	MoreToCome      = 1 << 1
	ExhaustAllowed  = 1 << 16
	knownFlags      = ChecksumPresent | MoreToCome | ExhaustAllowed
)

// Sections of an OP_MSG.
const (
	sectionBody     = 0
	sectionSequence = 1
)

// Msg is an OP_MSG: a command or its answer. It shares the bytes of the message.
type Msg struct {
	Flags     uint32
	Body      Document
	Sequences []Sequence
}

// Sequence is a list of documents that stands for an array in the body.
type Sequence struct {
	Name      []byte
	Documents []byte // one after the other
}

const maxSequences = 8 // commands have two at most

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Parse reads a whole message, header included, and checks every document in it. Sequences of m are used again.
func (m *Msg) Parse(message []byte) error {
	m.Body, m.Sequences = nil, m.Sequences[:0]
	rest := message[HeaderSize:]
	if len(rest) < 5 {
		return errShort
	}
	m.Flags = binary.LittleEndian.Uint32(rest)
	if unknown := m.Flags &^ knownFlags; unknown != 0 {
		return fmt.Errorf("flags 0x%x", unknown)
	}
	rest = rest[4:]
	if m.Flags&ChecksumPresent != 0 {
		end := len(message) - 4
		if len(rest) < 4 || crc32.Checksum(message[:end], castagnoli) != binary.LittleEndian.Uint32(message[end:]) {
			return fmt.Errorf("a checksum that is wrong")
		}
		rest = rest[:len(rest)-4]
	}
	for len(rest) > 0 {
		var err error
		if rest, err = m.section(rest); err != nil {
			return err
		}
	}
	if m.Body == nil {
		return fmt.Errorf("a message without a body")
	}
	return nil
}

func (m *Msg) section(b []byte) (rest []byte, err error) {
	kind := b[0]
	switch kind {
	case sectionBody:
		if m.Body != nil {
			return nil, fmt.Errorf("two bodies")
		}
		if m.Body, rest, err = cutDocument(b[1:]); err != nil {
			return nil, err
		}
		return rest, m.Body.Check()
	case sectionSequence:
		return m.sequence(b[1:])
	default:
		return nil, fmt.Errorf("a section of kind %d", kind)
	}
}

func (m *Msg) sequence(b []byte) (rest []byte, err error) {
	if len(b) < 4 {
		return nil, errShort
	}
	size := int64(int32(binary.LittleEndian.Uint32(b)))
	if size < 5 || size > int64(len(b)) {
		return nil, fmt.Errorf("a sequence of %d bytes, where there are %d", size, len(b))
	}
	rest = b[size:]
	name, documents, ok := cString(b[4:size])
	if !ok {
		return nil, errShort
	}
	if len(m.Sequences) == maxSequences {
		return nil, fmt.Errorf("more than %d sequences", maxSequences)
	}
	for _, other := range m.Sequences {
		if bytes.Equal(other.Name, name) {
			return nil, fmt.Errorf("two sequences %q", name)
		}
	}
	m.Sequences = append(m.Sequences, Sequence{Name: name, Documents: documents})
	for len(documents) > 0 {
		var doc Document
		if doc, documents, err = cutDocument(documents); err != nil {
			return nil, err
		}
		if err := doc.Check(); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// Each calls f with each document of the sequence.
func (s Sequence) Each(f func(Document)) {
	for b := s.Documents; len(b) > 0; {
		doc, rest, err := cutDocument(b)
		if err != nil {
			return // it was checked
		}
		f(doc)
		b = rest
	}
}

// AppendMsg appends an OP_MSG that has a body only.
func AppendMsg(b []byte, requestID, responseTo int32, flags uint32, body Document) []byte {
	start := len(b)
	b = appendHeader(b, requestID, responseTo, OpMsg)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, sectionBody)
	return finish(append(b, body...), start)
}

// Query is an OP_QUERY, which clients of today send for their first hello only.
type Query struct {
	Collection []byte // with its database before it: admin.$cmd
	Document   Document
}

// ParseQuery reads a whole OP_QUERY, header included. A selection of fields behind the document is read and left out.
func ParseQuery(message []byte) (q Query, err error) {
	rest := message[HeaderSize:]
	if len(rest) < 4 {
		return q, errShort
	}
	var ok bool
	if q.Collection, rest, ok = cString(rest[4:]); !ok || len(rest) < 8 {
		return q, errShort
	}
	if q.Document, rest, err = cutDocument(rest[8:]); err != nil {
		return q, err
	}
	if err := q.Document.Check(); err != nil {
		return q, err
	}
	if len(rest) > 0 {
		var selection Document
		if selection, rest, err = cutDocument(rest); err != nil {
			return q, err
		}
		if err := selection.Check(); err != nil {
			return q, err
		}
	}
	if len(rest) > 0 {
		return q, fmt.Errorf("%d bytes behind its end", len(rest))
	}
	return q, nil
}

// queryFailure is the flag of an OP_REPLY whose document is an error.
const queryFailure = 1 << 1

// AppendReply appends an OP_REPLY with one document.
func AppendReply(b []byte, requestID, responseTo int32, failed bool, body Document) []byte {
	start := len(b)
	b = appendHeader(b, requestID, responseTo, OpReply)
	var flags uint32
	if failed {
		flags = queryFailure
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, make([]byte, 8+4)...)        // no cursor, from the first
	b = binary.LittleEndian.AppendUint32(b, 1) // one document
	return finish(append(b, body...), start)
}
