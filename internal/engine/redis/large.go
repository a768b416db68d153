package redis

import (
	"errors"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// takenPerByte is how many bytes a large command, its text and its event take for each of the command; rarely more.
const takenPerByte = 3

// reserve takes the room for a large command out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	err := r.fromClient.share.Grow(r.ctx, total, r.sendToServer)
	if errors.Is(err, engine.ErrBusy) {
		return fault.New(fault.LimitExceeded, "the agent is busy with other large commands; try again later, or send large values in pieces, with APPEND or SETRANGE")
	}
	return err
}

// look finds out what is to be known of the command that has just been read. For the record of a large one it takes the room
// that is missing, before that is made.
func (r *relay) look(size int) error {
	c := &r.fromClient.reading
	if c.read(r.parser.Args, size); size < engine.LargeMessage {
		return nil
	}
	return r.reserve(size + len(c.args)*resp.Beside + c.size.bytes())
}

// finishLarge sends a large command on. In a cluster it may have to be sent again, and is not copied for that: nothing else is read before
// it is answered. Then nothing is left of it, while the next one may have begun to arrive.
func (r *relay) finishLarge() error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	if r.cluster != nil {
		if err := r.wait(func() bool { return r.held == 0 }); err != nil {
			return err
		}
	}
	r.release()
	r.forget()
	return nil
}

// release gives back what was reserved, when nothing large is left of the command.
func (r *relay) release() {
	r.fromClient.share.Release()
}
