package authapi

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	"sallyport/internal/fault"
)

var codes = map[fault.Kind]connect.Code{
	fault.Internal:          connect.CodeInternal,
	fault.NotFound:          connect.CodeNotFound,
	fault.AlreadyExists:     connect.CodeAlreadyExists,
	fault.Unauthenticated:   connect.CodeUnauthenticated,
	fault.AccessDenied:      connect.CodePermissionDenied,
	fault.BadParameter:      connect.CodeInvalidArgument,
	fault.LimitExceeded:     connect.CodeResourceExhausted,
	fault.ConnectionProblem: connect.CodeUnavailable,
	fault.CompareFailed:     connect.CodeAborted,
}

// ToWire turns an error into what crosses the API: a code and the sentence for the user. The cause
// stays behind.
func ToWire(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*connect.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	}
	return connect.NewError(codes[fault.KindOf(err)], errors.New(fault.Message(err)))
}

// FromWire turns an error of an API call back into a fault. A call that did not reach the other side is
// a ConnectionProblem.
func FromWire(err error) error {
	wire, ok := errors.AsType[*connect.Error](err)
	if err == nil || !ok {
		return err
	}
	if wire.Code() == connect.CodeCanceled && errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	for kind, code := range codes {
		if code != wire.Code() {
			continue
		}
		if kind == fault.ConnectionProblem && !connect.IsWireError(err) {
			if told, ok := errors.AsType[*fault.Error](err); ok {
				return told // whoever dialled said it for people
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fault.Wrap(kind, wire.Unwrap(), "the auth server cannot be reached: it, or a proxy on the way to it, closed the connection; try again in a moment")
			}
			return fault.Wrap(kind, wire.Unwrap(), "the auth server cannot be reached: %s", wire.Message())
		}
		return &fault.Error{Kind: kind, Message: wire.Message()}
	}
	return fault.Wrap(fault.ConnectionProblem, err, "the auth server did not answer: %s", wire.Message())
}

// keepEOF turns an error of a stream into a fault and leaves the ordinary end alone.
func keepEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	return FromWire(err)
}
