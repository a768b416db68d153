package postgres

import (
	"errors"
	"fmt"

	"sallyport/internal/fault"
)

// SQLSTATEs that have no kind of fault (PostgreSQL documentation, "PostgreSQL Error Codes").
const (
	stateProtocolViolation     = "08P01"
	stateConnectionFailure     = "08006"
	stateFeatureNotSupported   = "0A000"
	stateInvalidParameter      = "22023"
	stateNameTooLong           = "42622"
	stateLimitExceeded         = "54000"
	stateInsufficientResources = "53000"
	stateAdminShutdown         = "57P01"
)

// ending is why a session ends, under the SQLSTATE that the client reads.
type ending struct {
	error
	state string
}

func (e *ending) Unwrap() error { return e.error }

func endWith(state string, kind fault.Kind, format string, args ...any) error {
	return &ending{fault.New(kind, format, args...), state}
}

// malformed is a message of the client that cannot be read; nothing of it is passed on.
func malformed(format string, args ...any) error {
	return &ending{fault.Wrap(fault.BadParameter, fmt.Errorf(format, args...), "the client sent a message that is not part of the PostgreSQL protocol; the session ends"), stateProtocolViolation}
}

// desynchronised is a message of the database that answers nothing.
func desynchronised(format string, args ...any) error {
	return &ending{fault.Wrap(fault.ConnectionProblem, fmt.Errorf(format, args...), "the database sent a message that does not belong here; the session ends, connect again"), stateProtocolViolation}
}

// stateOf returns the SQLSTATE for an error.
func stateOf(err error) string {
	if e, ok := errors.AsType[*ending](err); ok {
		return e.state
	}
	return fault.SQLState(fault.KindOf(err))
}

// serverError is an ErrorResponse of the database.
type serverError struct {
	severity string // not translated
	state    string
	message  string
}

// parseServerError reads the fields that matter. The message may be cut off.
func parseServerError(body []byte) serverError {
	var e serverError
	for len(body) > 1 && body[0] != 0 {
		field := body[0]
		text, rest, _ := cutString(body[1:])
		switch field {
		case 'S':
			if e.severity == "" {
				e.severity = string(text)
			}
		case 'V':
			e.severity = string(text)
		case 'C':
			e.state = string(text)
		case 'M':
			e.message = string(text)
		}
		body = rest
	}
	return e
}

// fatal reports whether the database closes the connection after it.
func (e *serverError) fatal() bool { return e.severity == "FATAL" || e.severity == "PANIC" }

// Error implements error.
func (e *serverError) Error() string {
	return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.severity, e.message, e.state)
}
