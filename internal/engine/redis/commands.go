package redis

import (
	"bytes"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// command records what has just been read, and leaves it to be sent on; or answers it here.
func (r *relay) command(size int) error {
	args := r.parser.Args
	if len(args) == 0 { // which the database ignores
		if err := r.sendToServer(); err != nil {
			return err
		}
		r.drop(size)
		return nil
	}
	if err := r.look(size); err != nil {
		return err
	}
	if err := r.awaitRoom(); err != nil {
		return err
	}
	r.leaveRefusedMulti()
	c := find(r.engine.table, args)
	no := r.refusal(c, args)
	if no == nil {
		no = r.keepScript(c, args)
	}
	if no != nil {
		return r.refuse(no, size)
	}
	if c == nil {
		c = &unknown
	}
	r.fromClient.instead = r.askForKnown(c, args)
	if done, err := r.alreadyOpen(c, size); done || err != nil {
		return err
	}
	if r.cluster != nil {
		if c.role == multi && r.fromClient.pinned == nil && !r.fromClient.multi {
			return r.holdMulti(size)
		}
		slot, no := slotOfAll(c, args)
		if no == nil && slot < 0 {
			no = r.keylessRefusal(c)
		}
		if no == nil && slot < 0 && c.cluster.every != nil {
			return r.onEveryNode(c, size)
		}
		var err error
		if no == nil {
			no, err = r.route(c, slot)
		}
		if fault.Is(err, fault.ConnectionProblem) && r.ctx.Err() == nil {
			no, err = refuse(codeError, "%s", fault.Message(err)), nil
		}
		if err != nil {
			return err
		}
		if no != nil {
			return r.refuse(no, size)
		}
	}
	switch c.role {
	case reset:
		return r.reset(size)
	case exec:
		if err := r.exec(size); err != nil {
			return err
		}
		return r.behindMulti()
	}
	q := request{role: c.role, notable: c.admin || c == &unknown}
	switch c.role {
	case multi:
		r.mu.Lock()
		r.noMulti = false
		r.mu.Unlock()
		// One within another is an error, and leaves the first as it is.
		r.fromClient.multi, r.fromClient.dirty = true, r.fromClient.multi && r.fromClient.dirty
	case discard:
		r.fromClient.multi, r.fromClient.pinned = false, nil
	case selects:
		q.database = databaseOf(args)
	case hello:
		if options, ok := parseHello(args); ok && len(options.version) == 1 {
			q.proto = options.version[0] - '0'
		}
	case subscribe:
		q.names = c.names
		if q.expect = len(args) - 1; q.expect == 0 && isUnsubscribe(c.names) {
			q.expect = allChannels
		}
	}
	if err := r.perform(q, size); err != nil {
		return err
	}
	switch {
	case c.role == quit:
		r.saidGoodbye.Store(true)
		return errGoodbye
	case c.role == selects:
		return r.behindSelect(q.database)
	case c.role == discard:
		return r.behindMulti()
	case q.proto != 0 && r.cluster != nil:
		if err := r.settled(); err != nil {
			return err
		}
		return r.tellOthers(hello, []string{"HELLO", strconv.Itoa(int(r.proto.Load()))})
	}
	return nil
}

// perform has the command be recorded, notes that its reply is due, and leaves it to be sent on.
func (r *relay) perform(q request, size int) error {
	event := r.record.query(&r.fromClient.reading)
	if q.role == evalSHA && len(r.parser.Args) > 1 {
		event.Script = r.fromClient.scripts.text(r.parser.Args[1])
	}
	q.began, q.masked = r.engine.cfg.Now(), event.Masked
	if r.cluster != nil {
		q.sent = r.message(size)
	}
	var err error
	if standsAlone(&q, event) {
		if q.event, err = r.recordNow(event); err == nil {
			r.push(q)
		}
	} else {
		p := &r.fromClient.joined
		if p.add(&q, event.Query); len(p.requests) == maxJoined {
			err = r.recordJoined()
		}
	}
	if err != nil {
		return err
	}
	return r.forward(size)
}

// message returns a copy of the command that has just been read, as it is sent.
func (r *relay) message(size int) []byte {
	if r.fromClient.instead != nil {
		return r.fromClient.instead
	}
	if r.parser.Inline {
		return resp.AppendCommand(nil, r.parser.Args...)
	}
	return bytes.Clone(r.in.Buf[r.in.Scanned : r.in.Scanned+size])
}

// awaitRoom waits while too many commands are on their way.
func (r *relay) awaitRoom() error {
	r.mu.Lock()
	full := r.requests.Len()+len(r.fromClient.joined.requests) >= maxUnanswered || r.held > maxHeld
	r.mu.Unlock()
	if !full {
		return nil
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	return r.wait(func() bool { return r.requests.Len() < maxUnanswered && r.held <= maxHeld })
}

// exec ends a transaction. One of which a command was refused here is discarded, as the database does itself.
func (r *relay) exec(size int) error {
	f := &r.fromClient
	dirty := f.multi && f.dirty
	f.multi, f.dirty, f.pinned = false, false, nil
	if !dirty {
		return r.perform(request{role: exec}, size)
	}
	no := refuse(codeAborted, "Transaction discarded because of previous errors.")
	event := &audit.DatabaseQueryFailed{DatabaseQuery: *r.record.query(&r.fromClient.reading), Error: no.text}
	if _, err := r.recordNow(event); err != nil {
		return err
	}
	if err := r.settled(); err != nil {
		return err
	}
	r.drop(size)
	if _, err := r.askServer(discard, "DISCARD"); err != nil {
		return err
	}
	return r.reply(no.reply())
}

// reset passes RESET on, which takes the account from the connection, and logs in again before anything else is
// passed on.
func (r *relay) reset(size int) error {
	if err := r.perform(request{role: reset}, size); err != nil {
		return err
	}
	f := &r.fromClient
	f.multi, f.dirty, f.multiHeld, f.pinned, f.listening = false, false, false, nil, nil
	if err := r.settled(); err != nil {
		return err
	}
	secret, err := r.secret(r.ctx, r.server.up)
	if err != nil {
		return err
	}
	answer, err := r.askServer(login, "AUTH", r.server.up.User, secret)
	if err != nil {
		return err
	}
	if answer != "+OK" {
		return fault.New(fault.ConnectionProblem, "the database did not let the account %q in again after RESET; connect again", r.account)
	}
	if err := r.selectAgain(); err != nil {
		return err
	}
	return r.tellOthers(reset, []string{"RESET"}, []string{"AUTH", r.server.up.User, secret})
}

// leaveRefusedMulti is out of a transaction that the database has refused to begin, as an account without MULTI. It knows when nothing
// is under way. Where a cluster is behind, the node of a transaction stays the one for what follows until that ends.
func (r *relay) leaveRefusedMulti() {
	f := &r.fromClient
	if !f.multi || r.cluster != nil || len(f.joined.requests) > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.noMulti && r.requests.Len() == 0 {
		f.multi, f.dirty, f.selects, r.noMulti = false, false, false, false
	}
}
