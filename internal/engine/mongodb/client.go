package mongodb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"syscall"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
)

const keptText = 64 << 10 // of the buffer for texts

// reader is the state of the direction from the client.
type reader struct {
	in      *inbox.Inbox
	msg     mongowire.Msg
	names   names
	text    []byte
	query   audit.DatabaseQuery
	current *asked // what is being looked at, and was not sent on

	measured int           // bound of the bytes of its text; 0 while nobody has asked for that
	share    *engine.Share // of the budget for large messages
}

func newUnscanned(in *inbox.Inbox) io.Reader { return bytes.NewReader(in.Buf[in.Scanned:in.End]) }

// readClient reads messages until the client goes: all that one read brought are recorded and then sent on, in one write
// of the very bytes that were read.
func (r *relay) readClient() error {
	in := r.fromClient.in
	for {
		if err := r.scanClient(); err != nil {
			if sendErr := r.sendToServer(); sendErr != nil {
				return sendErr
			}
			return err
		}
		n, err := r.fromClient.share.Fill(in, r.client, in.Scanned < in.End)
		r.session.Count(0, n)
		if err != nil {
			if in.End > in.Scanned && n > 0 {
				continue // its last words
			}
			return r.clientGone(err)
		}
	}
}

func (r *relay) clientGone(err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	// A driver that closes a connection on which it watches the server may do so while an answer to hello arrives there.
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
	if in := r.fromClient.in; r.owes() || in.Scanned < in.End || !hungUp {
		return engine.LeftMidway(err)
	}
	return errGoodbye
}

// owes reports whether the client waits for an answer, other than one to hello.
func (r *relay) owes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.requests.Waiting(), func(q request) bool { return !q.hello })
}

// scanClient looks at what has arrived, and sends on what is complete.
func (r *relay) scanClient() error {
	in := r.fromClient.in
	for in.End-in.Scanned >= mongowire.HeaderSize {
		frame := in.Buf[in.Scanned:in.End]
		h := mongowire.ReadHeader(frame)
		if h.Size < mongowire.HeaderSize || h.Size > mongowire.MaxMessage {
			r.fromClient.current = &asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery}
			return r.tooLarge(h, frame)
		}
		total := int(h.Size)
		if len(frame) < total {
			in.Expect(total)
			if len(frame) >= engine.LargeMessage {
				r.fromClient.current = &asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery} // if it ends here
				if err := r.reserve(total * takenPerByte); err != nil {
					return err
				}
			}
			break
		}
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx) // what came after the end is not sent on
		}
		if err := r.message(h, frame[:total]); err != nil {
			return err
		}
	}
	err := r.sendToServer()
	r.fromClient.forget()
	return err
}

// forget leaves nothing of a large message to a session that may be idle from now on.
func (c *reader) forget() {
	if cap(c.text) > keptText {
		c.msg, c.names, c.text, c.query = mongowire.Msg{}, names{}, nil, audit.DatabaseQuery{}
	}
}

// message takes one message: it is to be sent on, or was answered here. A message that ends the session stays current.
func (r *relay) message(h mongowire.Header, frame []byte) error {
	c := &r.fromClient
	a := asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery}
	c.current, c.measured = &a, 0
	var err error
	switch h.Op {
	case mongowire.OpMsg:
		if err = c.msg.Parse(frame); err != nil {
			return r.recordMalformed(frame, err)
		}
		err = r.command(a, frame)
	case mongowire.OpQuery:
		err = r.legacyQuery(a, frame)
	default:
		return r.recordMalformed(frame, malformed("%s", h.Op))
	}
	if err == nil {
		c.current = nil
	}
	return err
}

// command checks, records and passes on what an OP_MSG says.
func (r *relay) command(a asked, frame []byte) error {
	c := &r.fromClient
	in := c.in
	if r.isUsed(a.id) {
		c.names.reset()
		return r.refuse(a, len(frame), withCode(codeProtocol, fault.BadParameter, "the request has the number %d of one that wanted no answer; give each request its own number", a.id))
	}
	name, ok := commandName(c.msg.Body)
	if !ok {
		c.names.reset()
		return r.refuse(a, len(frame), withCode(codeBadValue, fault.BadParameter, "the command has no name"))
	}
	if isHello(name) {
		return r.hello(a, c.msg.Body, len(frame), c.msg.Flags&mongowire.ExhaustAllowed)
	}
	if err := c.names.of(&c.msg); err != nil {
		return r.refuse(a, len(frame), err)
	}
	for _, database := range c.names.all {
		if err := r.session.Allow(database); err != nil {
			return r.refuse(a, len(frame), c.names.denied(database, err))
		}
	}
	if err := c.tooLong(len(frame)); err != nil {
		return r.refuse(a, len(frame), err)
	}
	if err := r.awaitRoom(); err != nil {
		return err
	}
	text, err := r.render(len(frame))
	if err != nil {
		return err
	}
	q := request{asked: a, exhaust: c.msg.Flags&mongowire.ExhaustAllowed != 0, name: c.names.own, began: r.engine.cfg.Now()}
	c.query = audit.DatabaseQuery{Query: text, Database: q.name}
	if q.event, err = r.session.Record(r.ctx, &c.query); err != nil {
		return err
	}
	in.Scanned += len(frame)
	if c.msg.Flags&mongowire.MoreToCome != 0 {
		r.refrain(a.id)
		return r.recordResult(&q, &audit.DatabaseResult{Status: audit.Status{Error: "the client wanted no answer, so how the command ended is not known"}})
	}
	r.push(q)
	return nil
}

// render returns the text of the current command of so many bytes, as it is recorded.
func (r *relay) render(size int) ([]byte, error) {
	c := &r.fromClient
	if c.text = c.text[:0]; size < engine.LargeMessage {
		c.text = c.msg.AppendJSON(c.text)
		return c.text, nil
	}
	if err := r.makeRoom(size); err != nil {
		return nil, err
	}
	c.text = c.msg.AppendLargeJSON(c.text)
	return c.text, nil
}

// hello passes a hello on as far as it is understood.
func (r *relay) hello(a asked, body mongowire.Document, size int, flags uint32) error {
	if err := r.awaitRoom(); err != nil {
		return err
	}
	message := mongowire.AppendMsg(nil, a.id, 0, flags, helloRequest(body))
	r.push(request{asked: a, hello: true, exhaust: flags != 0})
	return r.replace(size, message)
}

// legacyQuery takes an OP_QUERY, in which clients may only say hello.
func (r *relay) legacyQuery(a asked, frame []byte) error {
	q, err := mongowire.ParseQuery(frame)
	if err != nil {
		return r.recordMalformed(frame, err)
	}
	body := unwrap(q.Document)
	if name, ok := commandName(body); ok && isHello(name) && bytes.HasSuffix(q.Collection, []byte(".$cmd")) {
		return r.hello(a, body, len(frame), 0)
	}
	c := &r.fromClient
	c.msg.Body, c.msg.Sequences, c.msg.Flags = q.Document, c.msg.Sequences[:0], 0
	c.names.reset()
	database, _, _ := bytes.Cut(q.Collection, []byte("."))
	c.names.own = string(database)
	if name, ok := commandName(body); ok && (isLogin(name) || isHello(name)) {
		c.names.mask(body)
	}
	return r.refuse(a, len(frame), withCode(codeUnsupported, fault.BadParameter, "OP_QUERY is not passed on, apart from the first hello; use a driver of MongoDB 3.6 or later"))
}

// awaitRoom waits while too many commands are on their way.
func (r *relay) awaitRoom() error {
	r.mu.Lock()
	full := r.requests.Len() >= maxUnanswered
	r.mu.Unlock()
	if !full {
		return nil
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	return r.wait(func() bool { return r.requests.Len() < maxUnanswered })
}

// sendToServer sends on what was recorded.
func (r *relay) sendToServer() error {
	in := r.fromClient.in
	pending := in.Pending()
	if len(pending) == 0 {
		return nil
	}
	if err := r.write(pending); err != nil {
		return err
	}
	in.Sent()
	r.release()
	return nil
}

func (r *relay) write(b []byte) error {
	if _, err := r.fromClient.share.Write(r.server, b); err != nil {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		return fault.Wrap(fault.ConnectionProblem, errors.New(err.Error()), "the connection to the database broke; connect again")
	}
	return nil
}
