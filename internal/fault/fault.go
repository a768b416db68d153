// Package fault holds the few kinds of error that cross a process boundary: over the API, to a
// person at a terminal, or into a database protocol's own error message.
//
// A fault carries a sentence meant for the user. Detail for the operator stays in the wrapped cause,
// which is logged where it happened and never sent to the other side.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Kind says what a caller can do about an error. Programs act on the kind, never on the text.
type Kind int

// The kinds. Internal is what everything unclassified becomes.
const (
	Internal          Kind = iota // a defect or an unexpected state on our side
	NotFound                      // the named thing does not exist, or may not be seen
	AlreadyExists                 // the name is taken
	Unauthenticated               // the caller has not shown who it is
	AccessDenied                  // the caller is known and not allowed
	BadParameter                  // the request itself is wrong
	LimitExceeded                 // a rate, size or count limit was reached
	ConnectionProblem             // the other side cannot be reached or does not answer
	CompareFailed                 // the thing changed since it was read
)

var names = [...]string{
	Internal:          "internal",
	NotFound:          "not found",
	AlreadyExists:     "already exists",
	Unauthenticated:   "unauthenticated",
	AccessDenied:      "access denied",
	BadParameter:      "bad parameter",
	LimitExceeded:     "limit exceeded",
	ConnectionProblem: "connection problem",
	CompareFailed:     "compare failed",
}

// String returns the kind's name in words.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return names[Internal]
	}
	return names[k]
}

// Error is an error of a known kind with a sentence for the user.
type Error struct {
	Kind    Kind
	Message string // one sentence for the user, with the next step; never a secret
	Cause   error  // operator's detail; may be nil, is not sent to the user
}

// Error returns the user's sentence, followed by the cause when there is one. Use Message for text
// that leaves the process.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	cause := e.Cause.Error()
	if inner, ok := errors.AsType[*Error](e.Cause); ok && strings.HasPrefix(cause, inner.Message) && strings.HasSuffix(e.Message, inner.Message) {
		return strings.TrimSuffix(e.Message, inner.Message) + cause // it is said already
	}
	if strings.HasSuffix(e.Message, cause) {
		return e.Message
	}
	return e.Message + ": " + cause
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an error of the kind with a formatted sentence for the user.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the kind whose sentence the user sees and whose cause only the log sees.
func Wrap(kind Kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf returns the kind of the outermost fault in err's chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is a fault of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message returns the sentence for the user: the outermost fault's, or a fixed one that reveals
// nothing when err is not a fault.
func Message(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "something went wrong on our side; the log of the service has the details"
}

// Reason returns why an operation on a file failed, without the path that the sentence around it names.
func Reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}
