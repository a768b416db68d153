package mysqlwire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrAnswer is an answer that cannot be read.
var ErrAnswer = errors.New("an answer that cannot be read")

// OK is the end of an answer that went well ("OK_Packet").
type OK struct {
	Affected uint64
	Status   uint16
	// State is what changed in the session, if the client wanted to be told.
	State []byte
}

// ParseOK reads an OK. Tracked says that SessionTrack was agreed on.
func ParseOK(payload []byte, tracked bool) (OK, error) {
	r := reader{rest: payload}
	r.u8()
	ok := OK{Affected: r.length()}
	r.length() // of the last row inserted
	ok.Status = r.u16()
	r.u16() // warnings
	if tracked && len(r.rest) > 0 {
		r.counted() // a text for people
		if ok.Status&StatusStateChanged != 0 {
			ok.State = r.counted()
		}
	}
	if r.bad {
		return OK{}, ErrAnswer
	}
	return ok, nil
}

// stateSchema is the kind of a change of the default database ("SESSION_TRACK_SCHEMA").
const stateSchema = 1

// Schema returns the default database that a session has changed to, and false if it has not.
func (o *OK) Schema() (name string, changed bool) {
	r := reader{rest: o.State}
	for len(r.rest) > 0 {
		kind := r.u8()
		entry := r.counted()
		if kind == stateSchema && !r.bad {
			inner := reader{rest: entry}
			if name := inner.counted(); !inner.bad {
				return string(name), true
			}
		}
	}
	return "", false
}

// AppendOK appends the payload of an OK that has nothing to tell.
func AppendOK(dst []byte, status uint16) []byte {
	return append(binary.LittleEndian.AppendUint16(append(dst, HeaderOK, 0, 0), status), 0, 0)
}

// ParseEOF reads the packet that ends definitions or rows where DeprecateEOF was not agreed on.
func ParseEOF(payload []byte) (status uint16, err error) {
	if len(payload) < 5 {
		return 0, ErrAnswer
	}
	return binary.LittleEndian.Uint16(payload[3:]), nil
}

// ServerError is an error message of a server ("ERR_Packet").
type ServerError struct {
	Code    uint16
	State   string // SQLSTATE; empty before the handshake is over
	Message string
}

// Error implements error.
func (e *ServerError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("ERROR %d: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("ERROR %d (%s): %s", e.Code, e.State, e.Message)
}

const stateSize = 5

// ParseError reads an error message. The payload may be cut off behind its beginning.
func ParseError(payload []byte) (ServerError, error) {
	r := reader{rest: payload}
	r.u8()
	e := ServerError{Code: r.u16()}
	if len(r.rest) > stateSize && r.rest[0] == '#' {
		e.State = string(r.bytes(1 + stateSize)[1:])
	}
	e.Message = string(r.rest)
	if r.bad {
		return ServerError{}, ErrAnswer
	}
	return e, nil
}

// Append appends the payload.
func (e *ServerError) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(append(dst, HeaderError), e.Code)
	if e.State != "" {
		dst = append(append(dst, '#'), e.State...)
	}
	return append(dst, e.Message...)
}

// ErrorPacket returns an error message as one packet. Clients show at most some 500 bytes of a text.
func ErrorPacket(sequence byte, code uint16, state, text string) []byte {
	e := ServerError{Code: code, State: state, Message: text}
	return AppendPacket(nil, sequence, e.Append(nil))
}

// Columns reads the packet that says how many columns an answer has. Cached says that CacheMetadata was agreed on, and
// defined whether their definitions follow.
func Columns(payload []byte, cached bool) (n int, defined bool, err error) {
	r := reader{rest: payload}
	count := r.length()
	defined = !cached || r.u8() == 1
	if r.bad || len(r.rest) > 0 || count == 0 || count > 1<<16 {
		return 0, false, ErrAnswer
	}
	return int(count), defined, nil
}

// Prepared is the answer to a statement that was prepared ("COM_STMT_PREPARE_OK").
type Prepared struct {
	ID                  uint32
	Columns, Parameters int
}

// ParsePrepared reads such an answer.
func ParsePrepared(payload []byte) (Prepared, error) {
	r := reader{rest: payload}
	r.u8()
	p := Prepared{ID: r.u32(), Columns: int(r.u16()), Parameters: int(r.u16())}
	if r.bad {
		return Prepared{}, ErrAnswer
	}
	return p, nil
}
