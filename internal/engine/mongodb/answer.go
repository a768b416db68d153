package mongodb

import (
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

// refuse records a command that is not sent on, and tells the client.
func (r *relay) refuse(a asked, size int, cause error) error {
	c := &r.fromClient
	if c.names.masked == nil && c.tooLong(size) != nil {
		c.names.mask(c.msg.Body)
	}
	text := c.names.masked
	if text == nil {
		var err error
		if text, err = r.render(size); err != nil {
			return err
		}
	}
	event := &audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: text, Database: c.names.own}, Error: session.Reason(cause), Message: fault.Message(cause)}
	if _, err := r.session.Record(r.ctx, event); err != nil {
		return err
	}
	if c.msg.Flags&mongowire.MoreToCome != 0 && !a.legacy {
		return r.replace(size, nil) // it wanted no answer
	}
	return r.answer(size, a, a.failure(nil, cause))
}

// answer leaves a message of that size out, and answers in the database's place, after what it still has to answer. It does
// not wait for that: a client that leaves meanwhile is to be noticed.
func (r *relay) answer(size int, a asked, reply []byte) error {
	if err := r.awaitRoom(); err != nil {
		return err
	}
	if err := r.replace(size, nil); err != nil {
		return err
	}
	if r.queue(request{asked: a, reply: reply}) {
		return nil
	}
	if _, err := r.client.Write(reply); err != nil {
		return engine.LeftMidway(err)
	}
	r.session.Count(len(reply), 0)
	return nil
}

// replace sends something else in place of a message of that size, or nothing.
func (r *relay) replace(size int, with []byte) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	in := r.fromClient.in
	in.Scanned += size
	in.Sent()
	r.release()
	if len(with) == 0 {
		return nil
	}
	return r.write(with)
}

func (r *relay) recordMalformed(frame []byte, cause error) error {
	if _, err := r.session.Record(r.ctx, unread(frame)); err != nil {
		return err
	}
	if _, ok := errors.AsType[*coded](cause); ok {
		return cause
	}
	return malformed("%w", cause)
}

// unread is the record of a message that cannot be read, without what may be secret in it.
func unread(frame []byte) *audit.MalformedPacket {
	if len(frame) >= mongowire.HeaderSize && mongowire.ReadHeader(frame).Op == mongowire.OpCompressed {
		frame = frame[:mongowire.HeaderSize] // secrets behind it are there under no name
	}
	return &audit.MalformedPacket{Payload: engine.UpToSecrets(frame[:min(len(frame), maxPayload)], withSecrets)}
}
