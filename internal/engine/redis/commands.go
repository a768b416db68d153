package redis

import (
	"bytes"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// command decides what becomes of the command that has just been read. First there has to be room for it. Then the roles are asked,
// before anything of it can reach a server. Then it is answered here if it says no more than who the client is, or gets its node in a
// cluster. What is left is recorded, and only after that sent on.
func (r *relay) command(size int) error {
	if len(r.parser.Args) == 0 {
		return r.ignore(size)
	}
	if err := r.look(size); err != nil {
		return err
	}
	if err := r.awaitRoom(); err != nil {
		return err
	}
	r.leaveRefusedMulti()
	c, no := r.admit()
	if no != nil {
		return r.refuse(no, size)
	}
	r.fromClient.instead = r.askForKnown(c, r.parser.Args)
	if done, err := r.alreadyOpen(c, size); done || err != nil {
		return err
	}
	if done, err := r.chooseNode(c, size); done || err != nil {
		return err
	}
	return r.execute(c, size)
}

// ignore leaves out a command without a word, as the database does.
func (r *relay) ignore(size int) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.drop(size)
	return nil
}

// execute has a command be recorded and sent on, and does what goes with it.
func (r *relay) execute(c *command, size int) error {
	switch c.role {
	case reset:
		return r.reset(size)
	case exec:
		return r.exec(size)
	case multi:
		r.enterMulti()
	}
	q := request{role: c.role, notable: c.admin || c == &unknown}
	q.foresee(c, r.parser.Args)
	if err := r.perform(q, size); err != nil {
		return err
	}
	return r.behind(&q)
}

// behind does what there is to do before the next command is looked at.
func (r *relay) behind(q *request) error {
	switch q.role {
	case quit:
		r.saidGoodbye.Store(true)
		return errGoodbye
	case selects:
		return r.behindSelect(q.database)
	case discard:
		return r.behindDiscard()
	case hello:
		return r.behindHello(q.proto)
	default:
		return nil
	}
}

// perform has the command be recorded, notes that its reply is due, and leaves it to be sent on.
func (r *relay) perform(q request, size int) error {
	event := r.record.query(&r.fromClient.reading)
	if q.role == evalSHA && len(r.parser.Args) > 1 {
		event.Script = r.fromClient.scripts.text(r.parser.Args[1])
	}
	q.began, q.masked = r.engine.cfg.Now(), event.Masked
	if r.cluster != nil {
		q.sent, q.slot = r.message(size), r.fromClient.slot
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

// message returns the command that has just been read, as it is sent. It is a copy, but for a large one, which stays where it is until it
// is answered.
func (r *relay) message(size int) []byte {
	if r.fromClient.instead != nil {
		return r.fromClient.instead
	}
	if r.parser.Inline {
		return resp.AppendCommand(nil, r.parser.Args...)
	}
	message := r.in.Buf[r.in.Scanned : r.in.Scanned+size]
	if size >= engine.LargeMessage {
		return message
	}
	return bytes.Clone(message)
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
