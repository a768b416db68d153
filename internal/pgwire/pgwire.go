// Package pgwire is what can be said in PostgreSQL's protocol before a session begins: the first packets of
// clients, and the message that turns a client away (PostgreSQL documentation, "Message Formats"). It does no
// input or output.
package pgwire

import "encoding/binary"

// Codes in place of a protocol version. The first packets of a client have no type: they are a length that
// counts itself, a code, and what belongs to the code.
const (
	CodeCancelRequest = 80877102
	CodeSSLRequest    = 80877103
	CodeGSSENCRequest = 80877104
)

// Sizes of first packets in bytes.
const (
	HeaderSize = 8      // length and code, which is all of a request for encryption
	MaxFirst   = 10_000 // with the length; PostgreSQL's own limit
	MaxSecret  = 256    // of the secret of a cancel request (protocol 3.2)
)

// Header returns the length of a first packet and its code. The head must have HeaderSize bytes.
func Header(head []byte) (size, code uint32) {
	return binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
}

// First returns a first packet.
func First(code uint32, body ...byte) []byte {
	packet := binary.BigEndian.AppendUint32(nil, uint32(HeaderSize+len(body)))
	return append(binary.BigEndian.AppendUint32(packet, code), body...)
}

// CancelRequest returns the packet that asks to cancel what a session runs.
func CancelRequest(processID uint32, secret []byte) []byte {
	return First(CodeCancelRequest, append(binary.BigEndian.AppendUint32(nil, processID), secret...)...)
}

// ParseCancelRequest reads what follows the code of a cancel request. The secret is a part of the body.
func ParseCancelRequest(body []byte) (processID uint32, secret []byte, ok bool) {
	if len(body) <= 4 || len(body) > 4+MaxSecret {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(body), body[4:], true
}

// Fatal returns the ErrorResponse that ends a session, or that a client reads in place of one.
func Fatal(sqlstate, text string) []byte {
	return response("FATAL", sqlstate, text)
}

// Error returns an ErrorResponse behind which the session goes on.
func Error(sqlstate, text string) []byte {
	return response("ERROR", sqlstate, text)
}

func response(severity, sqlstate, text string) []byte {
	body := "S" + severity + "\x00V" + severity + "\x00C" + sqlstate + "\x00M" + text + "\x00\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(body))), body...)
}
