package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
)

const maxHead = 4 << 10 // of a message that is too large, for the record

// takenPerByte is how many bytes a large message and its event take for each of the message.
const takenPerByte = 3

// reserve takes so much room for a large message out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	err := r.fromClient.share.Grow(r.ctx, total, r.sendToServer)
	if errors.Is(err, engine.ErrBusy) {
		return endWith(stateInsufficientResources, fault.LimitExceeded, "the agent is busy with other large statements; try again later, or send large values in pieces")
	}
	return err
}

// release gives back what was reserved, when nothing large is left of the message.
func (r *relay) release() {
	r.fromClient.share.Release()
}

// oversize is a message beyond the limit, which is read to its end for the record, and not kept.
type oversize struct {
	typ  byte
	size int64 // as announced
	hash hash.Hash
	head []byte
}

func (o *oversize) add(chunk []byte) {
	o.hash.Write(chunk)
	o.head = append(o.head, chunk[:min(len(chunk), maxHead-len(o.head))]...)
}

// text returns the beginning of the statement in the message.
func (o *oversize) text() []byte {
	switch o.typ {
	case feQuery:
		return o.head
	case feParse:
		if _, text, ok := cutString(o.head); ok {
			return text
		}
	}
	return nil
}

func isOversize(typ byte, size int64) bool {
	switch typ {
	case feQuery, feParse, feBind, feFunctionCall:
		return size > maxMessage && size <= maxStream
	}
	return false
}

// beginOversize leaves the header of a message out, after what came before has been sent.
func (r *relay) beginOversize(typ byte, size int64) error {
	c := &r.fromClient
	if err := r.sendToServer(); err != nil {
		return err
	}
	c.oversize = &oversize{typ: typ, size: size, hash: sha256.New()}
	c.skip = size - lengthSize
	c.inbox.Scanned += headerSize
	c.inbox.Start = c.inbox.Scanned
	return nil
}

// skipOversize takes n more bytes of such a message, and ends the session with the last of them.
func (r *relay) skipOversize(n int) error {
	c := &r.fromClient
	in := c.inbox
	c.oversize.add(in.Buf[in.Scanned-n : in.Scanned])
	in.Start = in.Scanned
	if c.skip > 0 {
		return nil
	}
	sum := c.oversize.hash.Sum(nil)
	if err := r.recordOversize(sum); err != nil {
		return err
	}
	return endWith(stateLimitExceeded, fault.LimitExceeded, tooLarge, c.oversize.size, maxMessage)
}

const tooLarge = "a statement with its values has %d bytes, and at most %d pass through this system in one message; send large values in pieces, with COPY or as a large object"

// recordOversize keeps what is known of the message, with its hash if it was complete.
func (r *relay) recordOversize(sum []byte) error {
	o := r.fromClient.oversize
	r.fromClient.refused = true
	_, err := r.session.Record(context.WithoutCancel(r.ctx), &audit.DatabaseQueryFailed{
		DatabaseQuery: audit.DatabaseQuery{Query: o.text()},
		Error:         fault.Message(fault.New(fault.LimitExceeded, tooLarge, o.size, maxMessage)),
		MessageSize:   o.size, MessageHash: sum,
	})
	return err
}
