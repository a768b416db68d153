package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
)

// maxPayload is how much of a message that cannot be read is recorded.
const maxPayload = 64 << 10

// reader is the state of the direction from the client.
type reader struct {
	inbox  *inbox.Inbox
	skip   int64 // bytes of COPY data that are still to come of the message
	failed bool  // a write to the database went wrong
	query  audit.DatabaseQuery

	oversize *oversize     // the message under way, which is too large; nil if there is none
	refused  bool          // it has been recorded
	share    *engine.Share // of the budget for large messages

	copyEnded bool // perhaps with Syncs before that, which are not answered yet

	unexecuted []unexecuted // what the next write brings and no Execute in it has recorded
	unrecorded error        // why what is pending was not recorded, so that it must not be sent
	call       portal       // arguments of a function call
}

// forget leaves nothing of what was read to a session that may be idle from now on.
func (c *reader) forget() {
	c.query = audit.DatabaseQuery{}
	if cap(c.call.values) > inbox.Small || cap(c.call.parameters) > engine.KeptRequests {
		c.call = portal{}
	}
}

// atBoundary reports whether the database was sent whole messages.
func (c *reader) atBoundary() bool { return (c.skip == 0 || c.oversize != nil) && !c.failed }

// readClient reads messages until the client goes: all that one read brought are recorded and then sent on, in
// one write of the very bytes that were read.
func (r *relay) readClient() error {
	c := &r.fromClient
	for {
		underWay := c.skip > 0 || c.inbox.Scanned < c.inbox.End
		n, err := c.share.Fill(c.inbox, r.client, underWay)
		if n > 0 {
			r.session.Count(0, n)
			if scanErr := r.scanClient(); scanErr != nil {
				return r.finishClient(scanErr)
			}
		}
		if err != nil {
			return r.clientGone(err)
		}
	}
}

// finishClient sends on what was recorded before the error.
func (r *relay) finishClient(err error) error {
	if sendErr := r.sendToServer(); sendErr != nil {
		return sendErr
	}
	if errors.Is(err, errGoodbye) {
		return r.depart(err)
	}
	return err
}

func (r *relay) clientGone(err error) error {
	gone := engine.LeftSilently(err)
	if r.ctx.Err() != nil || !errors.Is(err, io.EOF) {
		return gone
	}
	// The client may have closed its own direction only.
	return r.depart(gone)
}

// scanClient looks at what has arrived, and sends on what is complete.
func (r *relay) scanClient() error {
	c := &r.fromClient
	in := c.inbox
	for in.Scanned < in.End {
		if c.skip > 0 {
			n := in.Skip(c.skip)
			c.skip -= n
			if c.oversize != nil {
				if err := r.skipOversize(int(n)); err != nil {
					return err
				}
			}
			continue
		}
		frame := in.Buf[in.Scanned:in.End]
		if len(frame) < headerSize {
			if err := r.checkType(frame); err != nil {
				return err
			}
			break
		}
		consumed, err := r.scanFrame(frame)
		c.forget()
		if err != nil {
			return err
		}
		if c.oversize != nil {
			continue
		}
		if consumed == 0 {
			break
		}
		in.Scanned += consumed
	}
	if in.Brimful() && (c.skip > 0 || in.Scanned < in.End) {
		return nil // one write for all of it
	}
	return r.sendToServer()
}

// checkType refuses an unknown type as soon as it is there.
func (r *relay) checkType(frame []byte) error {
	if _, known := messageLimit(frame[0]); known {
		return nil
	}
	return r.recordMalformed(frame, fmt.Errorf("message type %q", frame[0]))
}

// scanFrame takes the message at the beginning of frame. It returns 0 when the message is not complete.
func (r *relay) scanFrame(frame []byte) (consumed int, err error) {
	typ, size := frame[0], int64(binary.BigEndian.Uint32(frame[1:]))
	if isOversize(typ, size) {
		return 0, r.beginOversize(typ, size)
	}
	limit, known := messageLimit(typ)
	if !known || size < lengthSize || size > limit {
		return 0, r.recordMalformed(frame, fmt.Errorf("message %q of length %d", typ, size))
	}
	if typ == feCopyData {
		r.copied.Add(size - lengthSize)
		r.fromClient.skip = size - lengthSize
		return headerSize, nil
	}
	total := int(size) + headerSize - lengthSize
	if len(frame) < total {
		r.fromClient.inbox.Expect(total)
		if len(frame) >= engine.LargeMessage {
			return 0, r.reserve(total * takenPerByte)
		}
		return 0, nil
	}
	if err := r.awaitRoom(); err != nil {
		return 0, err
	}
	if err := r.message(typ, frame[headerSize:total]); err != nil {
		if errors.Is(err, errReplaced) {
			r.fromClient.inbox.Start = r.fromClient.inbox.Scanned + total // it is not sent on as it is
			r.release()
			return total, nil
		}
		if engine.Unreadable(r.ctx, err) {
			return 0, r.recordMalformed(frame[:total], err)
		}
		return 0, err
	}
	if typ == feTerminate {
		r.fromClient.inbox.Scanned += total
		r.saidGoodbye.Store(true)
		return 0, errGoodbye
	}
	return total, nil
}

func (r *relay) recordMalformed(frame []byte, cause error) error {
	event := &audit.MalformedPacket{Payload: frame[:min(len(frame), maxPayload)]}
	if _, err := r.session.Record(r.ctx, event); err != nil {
		return err
	}
	if errors.Is(cause, errLongName) {
		return endWith(stateNameTooLong, fault.BadParameter, "the name of a statement or portal is longer than the %d bytes that the database tells apart; use a shorter one", nameLimit)
	}
	return malformed("%w", cause)
}

// awaitRoom waits while too many messages are on their way.
func (r *relay) awaitRoom() error {
	r.mu.Lock()
	full := r.unanswered() >= maxUnanswered
	r.mu.Unlock()
	if !full {
		return nil
	}
	return r.await(func() bool { return r.unanswered() < maxUnanswered })
}

// await sends on what was recorded, and then waits.
func (r *relay) await(condition func() bool) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	return r.wait(condition)
}

func (r *relay) sendToServer() error {
	c := &r.fromClient
	pending := c.inbox.Pending()
	if len(pending) == 0 {
		return nil
	}
	if len(c.unexecuted) > 0 && c.unrecorded == nil {
		c.unrecorded = r.recordUnexecuted()
	}
	if c.unrecorded != nil {
		return c.unrecorded
	}
	if err := r.writeServer(pending); err != nil {
		return err
	}
	c.inbox.Sent()
	r.release()
	return nil
}

func (r *relay) writeServer(message []byte) error {
	if _, err := r.fromClient.share.Write(r.server, message); err != nil {
		r.fromClient.failed = true
		engine.LastWords(r.ctx, goodbyeTime)
		return endWith(stateConnectionFailure, fault.ConnectionProblem, "the connection to the database broke; connect again")
	}
	return nil
}
