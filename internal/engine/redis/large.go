package redis

import (
	"errors"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
)

// reserve takes the room for a large command out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	err := r.engine.large.Grow(r.ctx, &r.fromClient.share, total, r.sendToServer)
	if errors.Is(err, engine.ErrBusy) {
		return fault.New(fault.LimitExceeded, "the agent is busy with other large commands; try again later, or send large values in pieces, with APPEND or SETRANGE")
	}
	return err
}

// release gives back what was reserved, when nothing large is left of the command.
func (r *relay) release() {
	r.engine.large.Release(&r.fromClient.share)
}
