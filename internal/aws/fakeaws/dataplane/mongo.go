package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The kinds of messages that clients of today send (MongoDB documentation, "Wire Protocol").
const (
	opReply = 1
	opQuery = 2004 // for the first hello only
	opMsg   = 2013

	mongoHeader    = 16
	longestCommand = 48_000_000 // bytes
)

var errNotMongo = errors.New("not the protocol of MongoDB")

// mongoMessage is a message of a client. The body of an OP_MSG comes first in it, as in all drivers.
type mongoMessage struct {
	id, op int32
	body   bson.Raw
	raw    []byte
}

func readMongo(r io.Reader) (mongoMessage, error) {
	raw := make([]byte, mongoHeader)
	if _, err := io.ReadFull(r, raw); err != nil {
		return mongoMessage{}, err
	}
	size := binary.LittleEndian.Uint32(raw)
	if size < mongoHeader || size > longestCommand {
		return mongoMessage{}, errNotMongo
	}
	raw = append(raw, make([]byte, size-mongoHeader)...)
	if _, err := io.ReadFull(r, raw[mongoHeader:]); err != nil {
		return mongoMessage{}, err
	}
	m := mongoMessage{id: int32(binary.LittleEndian.Uint32(raw[4:])), op: int32(binary.LittleEndian.Uint32(raw[12:])), raw: raw}
	var err error
	m.body, err = bodyOf(m.op, raw[mongoHeader:])
	return m, err
}

// bodyOf returns the document that holds the command.
func bodyOf(op int32, rest []byte) (bson.Raw, error) {
	switch op {
	case opMsg: // flags, kind of the section
		if len(rest) < 5 || rest[4] != 0 {
			return nil, errNotMongo
		}
		rest = rest[5:]
	case opQuery: // flags, name of the collection, two numbers
		if len(rest) < 4 {
			return nil, errNotMongo
		}
		_, after, ok := cutString(rest[4:])
		if !ok || len(after) < 8 {
			return nil, errNotMongo
		}
		rest = after[8:]
	default:
		return nil, fmt.Errorf("%w: a message of kind %d", errNotMongo, op)
	}
	body, _, ok := cutDocument(rest)
	if !ok || bson.Raw(body).Validate() != nil {
		return nil, errNotMongo
	}
	return body, nil
}

func cutDocument(b []byte) (document, rest []byte, ok bool) {
	if len(b) < 5 {
		return nil, nil, false
	}
	size := binary.LittleEndian.Uint32(b)
	if size < 5 || uint64(size) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// name is the command.
func (m mongoMessage) name() string {
	first, err := m.body.IndexErr(0)
	if err != nil {
		return ""
	}
	return first.Key()
}

// text is a field that is a string, or "".
func (m mongoMessage) text(field string) string {
	value, _ := m.body.Lookup(field).StringValueOK()
	return value
}

// answer is the message that answers with a document.
func (m mongoMessage) answer(document bson.D) ([]byte, error) {
	body, err := bson.Marshal(document)
	if err != nil {
		return nil, err
	}
	op, head := int32(opMsg), make([]byte, 5) // flags, kind of the section
	if m.op == opQuery {
		op, head = opReply, make([]byte, 20) // flags, cursor, first of the documents, their number
		head[16] = 1
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(mongoHeader+len(head)+len(body)))
	for _, n := range []int32{1, m.id, op} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return append(append(b, head...), body...), nil
}

// mongoRefusal is an answer that tells an error.
func mongoRefusal(code int32, name, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: text}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}
