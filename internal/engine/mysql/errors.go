package mysql

import (
	"errors"
	"fmt"

	"sallyport/internal/fault"
)

// number is an error of the server as clients know it: a number and an SQLSTATE.
type number struct {
	code  uint16
	state string
}

// Numbers of errors ("Server Error Message Reference" of the MySQL manual).
var (
	errNoGrant        = number{1044, "42000"}
	errAccessDenied   = number{1045, "28000"}
	errNoPassword     = number{1698, "28000"} // of MariaDB: "Access denied" of a method without passwords
	errUnknownCommand = number{1047, "08S01"}
	errShutdown       = number{1053, "08S01"}
	errUnknown        = number{1105, "HY000"}
	errNotSupported   = number{1235, "42000"}
	errTooLarge       = number{1153, "08S01"}
	errNoThread       = number{1094, "HY000"}
	errLimit          = number{1226, "42000"}
	errNoStatement    = number{1243, "HY000"}
	errStatements     = number{1461, "42000"}
	errMalformed      = number{1835, "HY000"}
	errHandshake      = number{1043, "08S01"}
)

// ending is why a session ends, under the number that the client reads.
type ending struct {
	error
	number number
}

func (e *ending) Unwrap() error { return e.error }

func endWith(n number, kind fault.Kind, format string, args ...any) error {
	return &ending{fault.New(kind, format, args...), n}
}

// malformed is a packet of the client that cannot be read; nothing of it is passed on.
func malformed(format string, args ...any) error {
	return &ending{fault.Wrap(fault.BadParameter, fmt.Errorf(format, args...), "the client sent a packet that is not part of the MySQL protocol; the session ends"), errMalformed}
}

// malformedPacket is such a packet before the relay.
type malformedPacket struct {
	error
	payload []byte
}

func (m *malformedPacket) Unwrap() error { return m.error }

// wrong says what was wrong with it, in words of ours.
func (m *malformedPacket) wrong() string {
	if told, ok := errors.AsType[*fault.Error](m.error); ok && told.Cause != nil {
		return told.Cause.Error()
	}
	return ""
}

// desynchronised is a packet of the database that answers nothing.
func desynchronised(format string, args ...any) error {
	return &ending{fault.Wrap(fault.ConnectionProblem, fmt.Errorf(format, args...), "the database sent a packet that does not belong here; the session ends, connect again"), errMalformed}
}

// codeOf returns the number for an error.
func codeOf(err error) (code uint16, state string) {
	n := errUnknown
	if e, ok := errors.AsType[*ending](err); ok {
		n = e.number
	} else if kind := fault.KindOf(err); kind == fault.AccessDenied || kind == fault.Unauthenticated {
		n = errAccessDenied
	} else if kind == fault.LimitExceeded {
		n = errLimit
	}
	return n.code, n.state
}
