package mongodb

import (
	"errors"
	"fmt"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// Codes of errors, with their names (MongoDB documentation, "Error Codes").
const (
	codeBadValue        = 2
	codeHostUnreachable = 6
	codeUnauthorized    = 13
	codeNotFound        = 59 // CommandNotFound
	codeFailed          = 96 // OperationFailed
	codeTooLarge        = 10334
	codeUnsupported     = 352 // UnsupportedOpQueryCommand
	codeProtocol        = 17  // ProtocolError
)

var codeNames = map[int32]string{
	codeBadValue: "BadValue", codeHostUnreachable: "HostUnreachable", codeUnauthorized: "Unauthorized", codeNotFound: "CommandNotFound",
	codeFailed: "OperationFailed", codeTooLarge: "BSONObjectTooLarge", codeUnsupported: "UnsupportedOpQueryCommand", codeProtocol: "ProtocolError",
}

// coded is an error under the code that the client reads.
type coded struct {
	error
	code int32
}

func (c *coded) Unwrap() error { return c.error }

func withCode(code int32, kind fault.Kind, format string, args ...any) error {
	return &coded{fault.New(kind, format, args...), code}
}

// malformed is a message of the client that cannot be read; nothing of it is passed on, and the session ends.
func malformed(format string, args ...any) error {
	return &coded{fault.Wrap(fault.BadParameter, fmt.Errorf(format, args...), "the client sent a message that is not part of the MongoDB protocol as it is spoken here; the session ends"), codeProtocol}
}

// desynchronised is a message of the database that answers nothing, or cannot be read.
func desynchronised(format string, args ...any) error {
	return &coded{fault.Wrap(fault.ConnectionProblem, fmt.Errorf(format, args...), "the database sent a message that does not belong here; the session ends, connect again"), codeHostUnreachable}
}

// textOf returns what the client's user is to read.
func textOf(cause error) string {
	if refused, ok := errors.AsType[*refusedLogin](cause); ok {
		return refused.Error()
	}
	return fault.Message(cause)
}

func codeOf(err error) int32 {
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		return refused.code
	}
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	switch fault.KindOf(err) {
	case fault.AccessDenied, fault.Unauthenticated:
		return codeUnauthorized
	case fault.ConnectionProblem:
		return codeHostUnreachable
	case fault.BadParameter:
		return codeBadValue
	default:
		return codeFailed
	}
}

// asked is a message that is owed an answer.
type asked struct {
	id     int32
	legacy bool // it was an OP_QUERY, whose answers are OP_REPLY
}

// failure appends the answer that tells an error, in the words that the client's user is to read.
func (a asked) failure(b []byte, cause error) []byte {
	code := codeOf(cause)
	to := mongowire.Header{RequestID: a.id, Op: mongowire.OpMsg}
	if a.legacy {
		to.Op = mongowire.OpQuery
	}
	return mongowire.Failure{Code: code, Name: codeNames[code], Text: textOf(cause)}.Append(b, to)
}
