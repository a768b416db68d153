package mysql

import (
	"crypto/sha256"
	"errors"
	"hash"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

const (
	maxHead   = 4 << 10 // of a message that is too large, for the record
	maxStream = 1 << 30 // of such a message; what is larger is not read to its end
)

// takenPerByte is how many bytes a large message, one without its headers, and the event take for each of the message.
const takenPerByte = 3

// mayHave returns how many bytes a message may have of which so many are known. Of one that goes on in further packets nobody knows how many
// come: it takes the room for the largest at once, because two that have a part each would wait for each other.
func mayHave(total int) int {
	if total >= mysqlwire.HeaderSize+mysqlwire.MaxPayload {
		return maxMessage
	}
	return total
}

// reserve takes so much room for a large message out of the budget of all sessions, once it has begun to arrive.
func (r *relay) reserve(total int) error {
	err := r.fromClient.share.Grow(r.ctx, total, r.sendToServer)
	if errors.Is(err, engine.ErrBusy) {
		return endWith(errLimit, fault.LimitExceeded, "the agent is busy with other large statements; try again later, or send large values in pieces")
	}
	return err
}

const (
	maxValues     = 4 << 20 // of an execution with many rows
	bytesPerValue = 64      // that one takes, beside what was read
)

// reserveValues takes the room for values of an execution with many rows, which may have one byte each.
func (r *relay) reserveValues(s *statement, size, values int) error {
	switch {
	case values > maxValues:
		err := endWith(errTooLarge, fault.LimitExceeded, "an execution of a statement has more than %d values, which is the most that passes through this system in one; send the rows in several", maxValues)
		event := &audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: s.text, StatementID: s.id}, Error: fault.Message(err), MessageSize: int64(size)}
		if _, recordErr := r.session.Record(r.ctx, event); recordErr != nil {
			return recordErr
		}
		return err
	case values*bytesPerValue < engine.LargeMessage:
		return nil
	}
	return r.reserve(size*takenPerByte + values*bytesPerValue)
}

// release gives back what was reserved, when nothing large is left of the message.
func (r *relay) release() {
	r.fromClient.share.Release()
}

// oversize is a message beyond the limit, which is read to its end for the record, and not kept.
type oversize struct {
	size    int64 // of the payload so far
	hash    hash.Hash
	head    []byte
	left    int // of the packet under way
	packets int
	last    bool
}

func (o *oversize) add(chunk []byte) {
	o.hash.Write(chunk)
	o.head = append(o.head, chunk[:min(len(chunk), maxHead-len(o.head))]...)
	o.size += int64(len(chunk))
	o.left -= len(chunk)
}

// text returns the beginning of the statement in the message.
func (o *oversize) text() []byte {
	if len(o.head) > 0 && mysqlwire.Command(o.head[0]) == mysqlwire.ComQuery {
		return o.head[1:]
	}
	return nil
}

// beginOversize leaves a message out, after what came before has been sent.
func (r *relay) beginOversize() error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.fromClient.oversize = &oversize{hash: sha256.New()}
	return nil
}

// skipOversize takes more of such a message, and ends the session with the last of it. It reports true when more has to
// arrive first.
func (r *relay) skipOversize() (wait bool, err error) {
	c := &r.fromClient
	in, o := c.inbox, c.oversize
	arrived := in.Buf[in.Scanned:in.End]
	switch {
	case o.left > 0:
		n := min(o.left, len(arrived))
		o.add(arrived[:n])
		in.Scanned += n
	case len(arrived) < mysqlwire.HeaderSize:
		return true, nil
	default:
		size, sequence := mysqlwire.Size(arrived)
		if int(sequence) != o.packets%256 {
			return false, r.recordMalformed(misnumbered(arrived), errSequence)
		}
		o.left, o.last = size, size < mysqlwire.MaxPayload
		o.packets++
		in.Scanned += mysqlwire.HeaderSize
	}
	in.Start = in.Scanned
	complete := o.last && o.left == 0
	if !complete && o.size < maxStream {
		return false, nil
	}
	var sum []byte
	if complete {
		sum = o.hash.Sum(nil)
	}
	if err := r.recordOversize(sum); err != nil {
		return false, err
	}
	return false, endWith(errTooLarge, fault.LimitExceeded, tooLarge, maxMessage)
}

const tooLarge = "a command has more than %d bytes, which is the most that passes through this system in one; send large values in pieces"

// recordOversize keeps what is known of the message, with the hash of its payload if that was complete.
func (r *relay) recordOversize(sum []byte) error {
	o := r.fromClient.oversize
	r.fromClient.refused = true
	_, err := r.session.Record(r.lasting, &audit.DatabaseQueryFailed{
		DatabaseQuery: audit.DatabaseQuery{Query: o.text()},
		Error:         fault.Message(fault.New(fault.LimitExceeded, tooLarge, maxMessage)),
		MessageSize:   o.size, MessageHash: sum,
	})
	return err
}
