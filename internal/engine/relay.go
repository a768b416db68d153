package engine

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"sallyport/internal/fault"
)

// A relay is the part of a session behind the login: directions, each of which reads from one side, and the context
// that ends with the first of them. These are the steps that the relays of all engines have in common.

// Run runs the directions of a relay until all have ended, and then returns why the first did. End ends ctx, which may
// also end by itself; interrupt, which is then called once, unblocks the directions.
func Run(ctx context.Context, end context.CancelCauseFunc, interrupt func(), directions ...func() error) (cause error) {
	interrupted := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(interrupted)
		interrupt()
	})
	var others sync.WaitGroup
	for _, direction := range directions[1:] {
		others.Go(func() { end(Guard("relay", direction)) })
	}
	end(Guard("relay", directions[0]))
	others.Wait()
	<-interrupted
	return context.Cause(ctx)
}

// Interrupt unblocks, when the context of a relay has ended, whoever reads from its connections or is in Wait. What is being
// written may be completed within the patience. It sets deadlines under the lock of changed: under that, whoever finds that the
// context goes on may set one without undoing these.
func Interrupt(patience time.Duration, changed *sync.Cond, conns ...net.Conn) {
	changed.L.Lock()
	defer changed.L.Unlock()
	past, soon := time.Unix(1, 0), time.Now().Add(patience)
	for _, conn := range conns {
		_ = conn.SetWriteDeadline(soon)
		_ = conn.SetReadDeadline(past)
	}
	changed.Broadcast()
}

// Wait returns when the condition, asked under the lock of changed, holds, or with the cause when the context ends.
// Whoever changes what is asked for broadcasts under that lock, as Interrupt does.
func Wait(ctx context.Context, changed *sync.Cond, condition func() bool) error {
	changed.L.Lock()
	defer changed.L.Unlock()
	for !condition() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		changed.Wait()
	}
	return nil
}

// LastWords waits, after a write to the database went wrong, for the other direction to read what the database said
// before it hung up, and so to end the context.
func LastWords(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	<-ctx.Done()
}

// HungUp says that the database closed the connection. The cause is not wrapped: to whoever reads it, io.EOF means that
// the client has left.
func HungUp(cause error) error {
	return fault.Wrap(fault.ConnectionProblem, errors.New(cause.Error()), "the database closed the connection; connect again, and look into its log")
}
