package engine

import (
	"context"
	"io"
	"net"
	"time"

	"sallyport/internal/session"
)

// Departure is a client that left otherwise than its protocol has it. For errors.Is it is io.EOF.
type Departure struct {
	how   string
	cause error
}

// LeftSilently is a client that went without the protocol's goodbye.
func LeftSilently(cause error) error { return &Departure{"without a goodbye", cause} }

// LeftMidway is a client that went while it was owed an answer. Its protocol has no goodbye.
func LeftMidway(cause error) error { return &Departure{"in the middle of something", cause} }

// Error implements error.
func (d *Departure) Error() string { return "the client left " + d.how + ": " + d.cause.Error() }

// Unwrap returns io.EOF.
func (d *Departure) Unwrap() error { return io.EOF }

// Welcome tells the client that it is logged in, in a protocol that has a goodbye. It gives up with the cause when the context
// ends.
func Welcome(ctx context.Context, client net.Conn, s *session.Session, message []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = client.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := client.Write(message)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return LeftSilently(err)
	}
	s.Count(len(message), 0)
	return nil
}
