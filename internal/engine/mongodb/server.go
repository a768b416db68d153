package mongodb

import (
	"bytes"
	"encoding/binary"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
)

// The beginning of an answer: header, flags and the kind of the section.
const replyHead = mongowire.HeaderSize + 4 + 1

const maxReply = mongowire.MaxMessage + 64<<10

// answers is the state of the direction from the database.
type answers struct {
	in     *inbox.Inbox
	left   int64 // bytes of the answer under way that are still to be looked at
	more   bool  // another answer to the same request follows it
	check  int64 // bytes of a checksum at its end
	size   int64
	id     int32
	to     request
	answer mongowire.Answer
	result audit.DatabaseResult
	failed bool // a write to the client went wrong
	partly bool // the client has the beginning of an answer
	drop   bool // nobody wants the answer under way
}

// atBoundary reports whether the client was sent whole messages.
func (a *answers) atBoundary() bool { return !a.partly && !a.failed }

// readServer reads answers until the database goes, and sends on, in one write, what one read brought.
func (r *relay) readServer() error {
	a := &r.fromServer
	for {
		n, err := a.in.Fill(r.server, a.left > 0 || a.in.Scanned < a.in.End)
		if n > 0 {
			if scanErr := r.scanServer(); scanErr != nil {
				return scanErr
			}
		}
		if err != nil {
			return r.serverGone(err)
		}
	}
}

// serverGone says why nothing more comes from the database.
func (r *relay) serverGone(err error) error {
	if r.ctx.Err() != nil {
		return errGoodbye // the first cause counts
	}
	return engine.HungUp(err)
}

// scanServer looks at what has arrived.
func (r *relay) scanServer() error {
	a := &r.fromServer
	in := a.in
	for in.Scanned < in.End {
		b := in.Buf[in.Scanned:in.End]
		if a.left == 0 {
			took, err := r.beginAnswer(b)
			if err != nil || !took {
				return errors.Join(r.sendToClient(), err)
			}
			continue
		}
		n := min(a.left, int64(len(b)))
		if a.drop {
			a.left -= n
			in.Scanned += int(n)
			in.Sent()
			continue
		}
		if document := min(n, a.left-a.check); document > 0 {
			if err := a.answer.Feed(b[:document]); err != nil {
				return desynchronised("%w", err)
			}
		}
		if a.left -= n; a.left == 0 {
			if err := r.endAnswer(); err != nil {
				return err
			}
			in.Scanned += int(n)
			if err := r.giveReplies(); err != nil {
				return err
			}
			continue
		}
		in.Scanned += int(n)
	}
	return r.sendToClient()
}

// beginAnswer takes the head of an answer, or all of an answer to hello. It reports false when more is needed.
func (r *relay) beginAnswer(b []byte) (took bool, err error) {
	a := &r.fromServer
	if len(b) < mongowire.HeaderSize {
		return false, nil
	}
	h := mongowire.ReadHeader(b)
	if a.drop = h.Op == mongowire.OpMsg && h.Size > mongowire.HeaderSize && h.Size <= maxReply && r.isUnwanted(h.ResponseTo); a.drop {
		a.left = int64(h.Size)
		return true, r.sendToClient() // what came before it
	}
	to, due := r.owed()
	switch {
	case !due:
		return false, desynchronised("%s in answer to nothing", h.Op)
	case h.Op != mongowire.OpMsg || h.Size < replyHead+5 || h.Size > maxReply:
		return false, desynchronised("%s of %d bytes", h.Op, h.Size)
	case h.ResponseTo != to.id:
		return false, desynchronised("an answer to %d, where %d is asked", h.ResponseTo, to.id)
	case len(b) < replyHead:
		return false, nil
	}
	flags := binary.LittleEndian.Uint32(b[mongowire.HeaderSize:])
	switch {
	case b[replyHead-1] != 0:
		return false, desynchronised("a section of kind %d", b[replyHead-1])
	case flags&^(mongowire.ChecksumPresent|mongowire.MoreToCome) != 0 || flags&mongowire.MoreToCome != 0 && !to.exhaust:
		return false, desynchronised("an answer with flags 0x%x", flags)
	}
	a.to, a.id, a.more, a.size = to, h.RequestID, flags&mongowire.MoreToCome != 0, int64(h.Size)
	if to.hello {
		return r.helloAnswer(h, b)
	}
	if a.check = 0; flags&mongowire.ChecksumPresent != 0 {
		a.check = 4
	}
	a.left = int64(h.Size) - replyHead
	a.answer.Reset()
	a.in.Scanned += replyHead
	return true, nil
}

// helloAnswer takes an answer to hello when all of it is there.
func (r *relay) helloAnswer(h mongowire.Header, b []byte) (took bool, err error) {
	a := &r.fromServer
	if h.Size > maxHello {
		return false, desynchronised("a hello of %d bytes", h.Size)
	}
	if len(b) < int(h.Size) {
		a.in.Expect(int(h.Size))
		return false, nil
	}
	var m mongowire.Msg
	if err := m.Parse(b[:h.Size]); err != nil {
		return false, desynchronised("%w", err)
	}
	if err := r.sendToClient(); err != nil { // what came before it
		return false, err
	}
	body := helloReply(m.Body)
	var reply []byte
	if a.to.legacy {
		reply = mongowire.AppendReply(nil, h.RequestID, a.to.id, false, body)
	} else {
		reply = mongowire.AppendMsg(nil, h.RequestID, a.to.id, m.Flags&mongowire.MoreToCome, body)
	}
	a.in.Scanned += int(h.Size)
	a.in.Sent()
	r.answered(!a.more, h.RequestID)
	if err := r.writeToClient(reply); err != nil {
		if !r.owes() {
			return false, errGoodbye
		}
		return false, err
	}
	return true, r.flushed()
}

// giveReplies sends on what came before an answer of ours, and that answer, when its turn has come.
func (r *relay) giveReplies() error {
	r.mu.Lock()
	due := r.replyIsNext()
	r.mu.Unlock()
	if !due {
		return nil
	}
	return r.sendToClient()
}

// endAnswer records how the command ended.
func (r *relay) endAnswer() error {
	a := &r.fromServer
	if !a.answer.Done() {
		return desynchronised("an answer whose document is longer than its message")
	}
	o := &a.answer.Outcome
	a.result = audit.DatabaseResult{Rows: o.N, Bytes: a.size}
	if o.Documents > 0 {
		a.result.Rows = o.Documents
	}
	switch {
	case !o.OK:
		a.result.Error, a.result.SQLState = text(o.Message), text(o.CodeName)
	case o.WriteErrors > 0:
		a.result.Error = "some of the documents were not written"
	case o.Concern:
		a.result.Error = "the write concern was not met"
	default:
		a.result.Success = true
	}
	if err := r.recordResult(&a.to, &a.result); err != nil {
		return err
	}
	r.answered(!a.more, a.id)
	return nil
}

func text(b []byte) string { return string(bytes.TrimSuffix(b, []byte{0})) }

func (r *relay) sendToClient() error {
	in := r.fromServer.in
	pending := in.Pending()
	if len(pending) == 0 {
		return nil
	}
	if err := r.writeToClient(pending); err != nil {
		return err
	}
	in.Sent()
	r.fromServer.partly = r.fromServer.left > 0 && !r.fromServer.drop
	if r.fromServer.partly {
		return nil
	}
	return r.flushed()
}

func (r *relay) writeToClient(b []byte) error {
	if _, err := r.client.Write(b); err != nil {
		r.fromServer.failed = true
		return engine.LeftMidway(err)
	}
	r.session.Count(len(b), 0)
	return nil
}
