package mongodb

import (
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

const (
	takenPerByte = 4 // bytes that a message, its text and its event take, for each of the message; rarely more
	// A longer text is for the record only if it has no more bytes than this for each of the message.
	longText        = 1 << 20
	mostTextPerByte = 6
	maxText         = 4 * mongowire.MaxMessage // of the text of any command
)

// tooLong says why the current command, of so many bytes, is not recorded, and thus not passed on: its text would take many times
// the bytes that it has itself, more than others are to wait for. There are values of four bytes whose text has more than fifty.
func (c *reader) tooLong(size int) error {
	if size < longText/20 {
		return nil
	}
	n := c.textSize(size)
	if n > maxText {
		return withCode(codeTooLarge, fault.LimitExceeded, "the command would be recorded as a text of up to %d bytes, and at most %d can be; send the documents in several batches", n, maxText)
	}
	if n > longText && n > mostTextPerByte*size {
		return withCode(codeTooLarge, fault.LimitExceeded, "the command would be recorded as a text of up to %d bytes, more than %d times its own; send the documents in several batches", n, mostTextPerByte)
	}
	return nil
}

// textSize returns a bound of the bytes of the text of the current command, which has so many itself. It is measured once.
func (c *reader) textSize(size int) int {
	switch {
	case c.measured > 0:
	case size < engine.LargeMessage:
		c.measured = c.msg.TextSize()
	default:
		c.measured = c.msg.LargeTextSize()
	}
	return c.measured
}

// makeRoom takes what is missing for the text and the event of a large command, and makes the buffer of the text.
func (r *relay) makeRoom(size int) error {
	c := &r.fromClient
	text := c.textSize(size)
	event := text + text/3 // in base64, if it comes to that
	if err := r.reserve(size + text + event); err != nil {
		return err
	}
	if cap(c.text) < text {
		c.text = make([]byte, 0, text)
	}
	return nil
}

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

// reserve takes so much room for a large message out of the budget of all sessions, if it has less.
func (r *relay) reserve(total int) error {
	err := r.fromClient.share.Grow(r.ctx, total, r.sendToServer)
	if errors.Is(err, engine.ErrBusy) {
		return fault.New(fault.LimitExceeded, "the agent is busy with other large commands; try again later, or send smaller batches")
	}
	return err
}

// release gives back what was reserved.
func (r *relay) release() {
	r.fromClient.share.Release()
}
