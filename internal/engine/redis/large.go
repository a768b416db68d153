package redis

import (
	"context"
	"time"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

const (
	largeCommand     = 1 << 20 // from here on commands share the engine's budget
	defaultMaxLarge  = 4 * resp.MaxCommand
	defaultLargeWait = 30 * time.Second
)

// reserve takes the room for a large command out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	c, e := &r.fromClient, r.engine
	if c.reserved > 0 {
		return nil
	}
	weight := int64(min(total, e.cfg.MaxLarge))
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
			return fault.New(fault.LimitExceeded, "the agent is busy with other large commands; try again later, or send large values in pieces, with APPEND or SETRANGE")
		}
	}
	c.reserved = weight
	return nil
}

// release gives back what was reserved, when nothing large is left of the command.
func (r *relay) release() {
	c := &r.fromClient
	if c.reserved > 0 {
		r.engine.large.Release(c.reserved)
		c.reserved = 0
	}
}
