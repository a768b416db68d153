package mysql

import (
	"errors"
	"io"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mysqlwire"
)

// reader is the state of the direction from the client.
type reader struct {
	inbox      *inbox.Inbox
	failed     bool          // a write to the database went wrong
	skip       int64         // bytes of a file's packet that are still to come
	share      *engine.Share // of the budget for large messages
	query      audit.DatabaseQuery
	last       *statement        // that was prepared last; nil before
	unprepared bool              // another was refused here since
	parameters []audit.Parameter // room for those of an execution
	joined     []byte            // the payload of a message in several packets

	settling bool // what the database answers next decides what the commands behind it mean

	asked   bool // for a file, which the database may want next
	sending bool // a file
	next    int  // number of the file's next packet; -1 before the first

	oversize *oversize // the message under way, which is too large; nil if there is none
	refused  bool      // it has been recorded
}

// atBoundary reports whether the database was sent whole messages.
func (c *reader) atBoundary() bool { return c.skip == 0 && !c.sending && !c.failed }

// readClient reads commands until the client goes: all that one read brought are recorded and then sent on, in
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
			return engine.LeftSilently(err)
		}
	}
}

// finishClient sends on what was recorded before the error.
func (r *relay) finishClient(err error) error {
	if sendErr := r.sendToServer(); sendErr != nil {
		return sendErr
	}
	if errors.Is(err, errGoodbye) {
		return r.depart()
	}
	return err
}

// scanClient looks at what has arrived, and sends on what is complete.
func (r *relay) scanClient() error {
	c := &r.fromClient
	in := c.inbox
	for in.Scanned < in.End {
		if c.skip > 0 {
			c.skip -= in.Skip(c.skip)
			continue
		}
		if c.oversize != nil {
			if done, err := r.skipOversize(); done || err != nil {
				return err
			}
			continue
		}
		if c.asked {
			if err := r.awaitFile(); err != nil {
				return err
			}
		}
		frame := in.Buf[in.Scanned:in.End]
		if len(frame) < mysqlwire.HeaderSize {
			break
		}
		if c.sending {
			if err := r.filePacket(frame); err != nil {
				return err
			}
			continue
		}
		total, err := r.scanMessage(frame)
		if err != nil {
			return err
		}
		if c.oversize != nil {
			continue
		}
		if total == 0 {
			break
		}
		in.Scanned += total
		c.query = audit.DatabaseQuery{} // texts and values are in what was read, which an idle session does not keep
		clear(c.parameters)
	}
	if in.Brimful() && (c.skip > 0 || in.Scanned < in.End) {
		return nil // one write for all of it
	}
	return r.sendToServer()
}

// scanMessage takes the command at the beginning of what has arrived. It returns 0 when it is not complete.
func (r *relay) scanMessage(arrived []byte) (total int, err error) {
	c := &r.fromClient
	total, parts, err := extent(arrived)
	if err != nil {
		return 0, r.recordMalformed(misnumbered(arrived), err)
	}
	if total > maxMessage {
		return 0, r.beginOversize()
	}
	if total > len(arrived) {
		c.inbox.Expect(total)
		if len(arrived) >= engine.LargeMessage {
			return 0, r.reserve(mayHave(total) * takenPerByte)
		}
		return 0, nil
	}
	if err := r.awaitRoom(); err != nil {
		return 0, err
	}
	payload := arrived[mysqlwire.HeaderSize:total]
	if parts > 1 {
		payload = c.join(arrived[:total])
	}
	if len(payload) == 0 {
		return 0, r.recordMalformed(arrived[:total], errors.New("a command without a byte"))
	}
	if err := r.command(mysqlwire.Command(payload[0]), payload[1:]); err != nil {
		switch {
		case errors.Is(err, errReplaced), errors.Is(err, errAnswered):
			c.inbox.Start = c.inbox.Scanned + total // it is not sent on as it is
			r.release()
			return total, nil
		case errors.Is(err, errGoodbye):
			c.inbox.Scanned += total
			r.saidGoodbye.Store(true)
		case engine.Unreadable(r.ctx, err):
			return 0, r.recordMalformed(arrived[:total], err)
		}
		return 0, err
	}
	return total, nil
}

// extent returns the length of the message at the beginning of what has arrived, with its headers, as far as it is
// known, and of how many packets it consists.
func extent(arrived []byte) (total, parts int, err error) {
	for {
		if len(arrived)-total < mysqlwire.HeaderSize {
			return total + mysqlwire.HeaderSize, parts, nil
		}
		size, sequence := mysqlwire.Size(arrived[total:])
		if int(sequence) != parts%256 {
			return 0, 0, errSequence
		}
		total += mysqlwire.HeaderSize + size
		parts++
		if size < mysqlwire.MaxPayload || total > len(arrived) {
			return total, parts, nil
		}
	}
}

var errSequence = errors.New("a packet with a wrong number")

// join returns the payload of a message in several packets. It is valid until the next.
func (c *reader) join(packets []byte) []byte {
	c.joined = c.joined[:0]
	for len(packets) > 0 {
		size, _ := mysqlwire.Size(packets)
		c.joined = append(c.joined, packets[mysqlwire.HeaderSize:mysqlwire.HeaderSize+size]...)
		packets = packets[mysqlwire.HeaderSize+size:]
	}
	joined := c.joined
	c.joined = nil // one such message is much to keep
	return joined
}

// misnumbered returns what is recorded of a packet with a wrong number: its header, and the byte that would say the command. It may as
// well be a part of a login, with a password in clear, and so may what is behind it.
func misnumbered(arrived []byte) []byte {
	size, _ := mysqlwire.Size(arrived)
	return arrived[:min(len(arrived), mysqlwire.HeaderSize+min(size, 1))]
}

func (r *relay) recordMalformed(packet []byte, cause error) error {
	event := &audit.MalformedPacket{Payload: packet[:min(len(packet), maxPayload)], Error: cause.Error()}
	if _, err := r.session.Record(r.ctx, event); err != nil {
		return err
	}
	return malformed("%w", cause)
}

// awaitRoom waits while too many commands are on their way, or the next one could not be understood yet.
func (r *relay) awaitRoom() error {
	room := maxUnanswered
	if r.fromClient.settling {
		r.fromClient.settling, room = false, 1
	}
	r.mu.Lock()
	full := r.unanswered() >= room
	r.mu.Unlock()
	if !full {
		return nil
	}
	return r.await(func() bool { return r.unanswered() < room })
}

// await sends on what was recorded, and then waits.
func (r *relay) await(condition func() bool) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	return r.wait(condition)
}

// awaitAnswers waits until nothing is due, and the client has got all of it.
func (r *relay) awaitAnswers() error {
	return r.await(func() bool { return r.unanswered() == 0 && !r.unsent })
}

func (r *relay) sendToServer() error {
	c := &r.fromClient
	pending := c.inbox.Pending()
	if len(pending) == 0 {
		return nil
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
		return endWith(errUnknown, fault.ConnectionProblem, "the connection to the database broke; connect again")
	}
	return nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
