// Package mongowire reads and writes what MongoDB's clients and servers say to each other: messages of the MongoDB Wire
// Protocol, and the BSON in them (bsonspec.org, version 1.1). It allocates as little as it can, and nothing because of a
// length that somebody only claims.
package mongowire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Op is the kind of a message.
type Op int32

// The kinds that are known (MongoDB documentation, "MongoDB Wire Protocol").
const (
	OpReply       Op = 1
	OpUpdate      Op = 2001
	OpInsert      Op = 2002
	OpQuery       Op = 2004
	OpGetMore     Op = 2005
	OpDelete      Op = 2006
	OpKillCursors Op = 2007
	OpCompressed  Op = 2012
	OpMsg         Op = 2013
)

// String returns the name in the documentation.
func (o Op) String() string {
	names := map[Op]string{
		OpReply: "OP_REPLY", OpUpdate: "OP_UPDATE", OpInsert: "OP_INSERT", OpQuery: "OP_QUERY", OpGetMore: "OP_GET_MORE",
		OpDelete: "OP_DELETE", OpKillCursors: "OP_KILL_CURSORS", OpCompressed: "OP_COMPRESSED", OpMsg: "OP_MSG",
	}
	if name, ok := names[o]; ok {
		return name
	}
	return fmt.Sprintf("opcode %d", int32(o))
}

// Sizes in bytes.
const (
	HeaderSize  = 16
	MaxMessage  = 48_000_000 // the largest that servers take: maxMessageSizeBytes
	maxDocument = 16<<20 + 16<<10
	maxDepth    = 100 // of documents in documents
)

// Header begins each message.
type Header struct {
	Size       int32 // of the whole message
	RequestID  int32
	ResponseTo int32
	Op         Op
}

// ReadHeader reads the first HeaderSize bytes of b, of which there must be as many.
func ReadHeader(b []byte) Header {
	le := binary.LittleEndian
	return Header{
		Size: int32(le.Uint32(b)), RequestID: int32(le.Uint32(b[4:])), ResponseTo: int32(le.Uint32(b[8:])), Op: Op(le.Uint32(b[12:])),
	}
}

// appendHeader appends a header whose size is to be filled in by finish.
func appendHeader(b []byte, requestID, responseTo int32, op Op) []byte {
	b = append(b, 0, 0, 0, 0)
	for _, n := range []int32{requestID, responseTo, int32(op)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func finish(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

var errShort = errors.New("it ends too early")

// cString cuts a text off that ends with a zero.
func cString(b []byte) (text, rest []byte, ok bool) {
	for i, c := range b {
		if c == 0 {
			return b[:i], b[i+1:], true
		}
	}
	return nil, nil, false
}
