package mongodb

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

const (
	largeMessage     = 1 << 20 // from here on messages share the engine's budget
	defaultMaxLarge  = 256 << 20
	defaultLargeWait = 30 * time.Second
	textPerByte      = 4 // bytes that a message and its text take, for each of the message, rarely more
)

// tooLarge ends the session at a message that is longer than servers take.
func (r *relay) tooLarge(h mongowire.Header, frame []byte) error {
	if h.Size < mongowire.HeaderSize || h.Op != mongowire.OpMsg {
		return r.recordMalformed(frame, malformed("%s of %d bytes", h.Op, h.Size))
	}
	err := withCode(codeTooLarge, fault.LimitExceeded, "a message has %d bytes, and at most %d pass through this system; send the documents in several batches", h.Size, mongowire.MaxMessage)
	event := &audit.DatabaseQueryFailed{Error: fault.Message(err), MessageSize: int64(h.Size)}
	if _, recordErr := r.session.Record(r.ctx, event); recordErr != nil {
		return recordErr
	}
	return err
}

// reserve takes the room for a large message out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	c, e := &r.fromClient, r.engine
	if c.reserved > 0 {
		return nil
	}
	weight := int64(min(total*textPerByte, e.cfg.MaxLarge))
	if !e.large.TryAcquire(weight) {
		if err := r.sendToServer(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.ctx, e.cfg.LargeWait)
		defer cancel()
		if err := e.large.Acquire(ctx, weight); err != nil {
			if r.ctx.Err() != nil {
				return context.Cause(r.ctx)
			}
			return fault.New(fault.LimitExceeded, "the agent is busy with other large commands; try again later, or send smaller batches")
		}
	}
	c.reserved = weight
	return nil
}

// release gives back what was reserved.
func (r *relay) release() {
	if c := &r.fromClient; c.reserved > 0 {
		r.engine.large.Release(c.reserved)
		c.reserved = 0
	}
}
