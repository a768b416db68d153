package redis

import (
	"context"
	"errors"
	"io"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

// errLeft is a client that closed its connection between commands, as most of them do.
var errLeft = errors.New("the client closed the connection")

// reader is the state of the direction from the client.
type reader struct {
	current *node // to which commands go

	// In a cluster:
	pinned    *node // that the transaction, or a watched key, belongs to
	keyless   bool  // no key has chosen it
	listening *node // that subscriptions are on
	multiHeld bool  // MULTI was answered here and not sent on yet
	slot      int   // of the keys of the command that was read last, -1 if it is not known to have any

	multi   bool // within MULTI, as far as can be known before it is answered
	selects bool // and SELECT within that
	dirty   bool // a command of that was refused here, so that none of them may be executed

	denied access.Commands // by roles, as of the last read

	reading reading // of the command that was read last
	joined  pipeline
	scripts scripts
	instead []byte        // of the command that was read last, and as which it is recorded; nil if that is sent on
	share   *engine.Share // of the budget for large commands
}

// readClient reads commands until the client goes: all that one read brought are recorded and then sent on, in one
// write of the very bytes that were read.
func (r *relay) readClient() error {
	for {
		if err := r.renew(); err != nil {
			return err
		}
		// Something may be left from before the login.
		if err := r.scanClient(); err != nil {
			return r.finishClient(err)
		}
		n, err := r.fromClient.share.Fill(r.in, r.client, r.in.Scanned < r.in.End)
		if n > 0 {
			r.session.Count(0, n)
			continue
		}
		if err != nil && !r.woken(err) {
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
		_ = r.wait(func() bool { return r.requests.Len() == 0 })
	}
	return err
}

func (r *relay) clientGone(err error) error {
	if r.ctx.Err() == nil && errors.Is(err, io.EOF) && r.in.Scanned == r.in.End {
		return errLeft
	}
	return errors.Join(err, io.EOF)
}

// scanClient looks at what has arrived, and sends on what is complete.
func (r *relay) scanClient() error {
	in := r.in
	underWay := false
	r.fromClient.denied = r.session.DeniedCommands()
	for in.Scanned < in.End && !underWay {
		data := in.Buf[in.Scanned:in.End]
		size, atLeast, err := r.parser.Parse(data, resp.DefaultLimits)
		if err != nil {
			return r.unreadable(err)
		}
		if size == 0 {
			underWay = true
			in.Expect(atLeast)
			if len(data)+r.parser.Held() >= engine.LargeMessage {
				guess, arguments := r.parser.Guess() // all of it at once: two that have a part each would wait for each other
				if err := r.reserve(max(atLeast, len(data), guess)*takenPerByte + arguments*resp.Beside); err != nil {
					return err
				}
			}
			continue
		}
		large := size+len(r.parser.Args)*resp.Beside >= engine.LargeMessage
		if err := r.command(size); err != nil {
			return err
		}
		if large {
			if err := r.finishLarge(); err != nil {
				return err
			}
		}
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	if !underWay {
		r.release()
		r.forget()
	}
	return nil
}

// forget leaves nothing of what was read to a session that may be idle from now on.
func (r *relay) forget() {
	r.fromClient.instead, r.fromClient.reading = nil, reading{}
	clear(r.parser.Args)
	if r.parser.Args = r.parser.Args[:0]; cap(r.parser.Args) > engine.KeptRequests {
		r.parser.Args = nil
	}
	r.record.forget()
}

// unreadable ends the session at what is no command.
func (r *relay) unreadable(err error) error {
	if large, ok := errors.AsType[*resp.TooLarge](err); ok {
		return r.tooLarge(large)
	}
	if _, recordErr := r.recordNow(&audit.MalformedPacket{Payload: r.unread()}); recordErr != nil {
		return recordErr
	}
	return errors.Join(malformed(err), r.settled())
}

func (r *relay) tooLarge(large *resp.TooLarge) error {
	event, err := r.refuseLarge(large)
	if _, recordErr := r.recordNow(event); recordErr != nil {
		return recordErr
	}
	return err
}

// forward leaves the command that has just been read to be sent on, as it is.
func (r *relay) forward(size int) error {
	if r.fromClient.instead != nil {
		return r.replace(size, r.fromClient.instead)
	}
	if !r.parser.Inline {
		r.in.Scanned += size
		return nil
	}
	return r.replace(size, resp.AppendCommand(nil, r.parser.Args...))
}

// replace sends on something else in the place of what has just been read.
func (r *relay) replace(size int, message []byte) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.drop(size)
	return r.write(message)
}

// drop leaves out what has just been read.
func (r *relay) drop(size int) {
	r.in.Scanned += size
	r.in.Start = r.in.Scanned
}

// sendToServer records what is not yet, and sends on what was looked at.
func (r *relay) sendToServer() error {
	if err := r.recordJoined(); err != nil {
		return err
	}
	pending := r.in.Pending()
	if len(pending) == 0 {
		return nil
	}
	if err := r.write(pending); err != nil {
		return err
	}
	r.in.Sent()
	return nil
}

func (r *relay) write(message []byte) error {
	if _, err := r.fromClient.share.Write(r.fromClient.current.conn, message); err != nil {
		engine.LastWords(r.ctx, goodbyeTime)
		return engine.HungUp(err)
	}
	return nil
}

// settled waits until all commands so far are answered, and the client has the replies.
func (r *relay) settled() error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	return r.wait(func() bool { return r.requests.Len() == 0 && !r.unsent })
}

// reply answers a command here, after those before it.
func (r *relay) reply(message ...[]byte) error {
	if err := r.settled(); err != nil {
		return err
	}
	r.toClient.Lock()
	defer r.toClient.Unlock()
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	for _, piece := range message {
		if _, err := r.client.Write(piece); err != nil {
			return errors.Join(err, io.EOF)
		}
		r.session.Count(len(piece), 0)
	}
	return nil
}

// answerHere records the command that has just been read, with its outcome, and answers it without the database.
func (r *relay) answerHere(size int, message []byte) error {
	began := r.engine.cfg.Now()
	index, err := r.recordNow(r.record.query(&r.fromClient.reading))
	if err != nil {
		return err
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.drop(size)
	result := &audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: index, Rows: 1, Duration: r.engine.cfg.Now().Sub(began)}
	if _, err := r.session.Record(r.ctx, result); err != nil {
		return err
	}
	return r.reply(message)
}

// askServer sends a command of ours, and returns its reply as a line.
func (r *relay) askServer(role role, args ...string) (string, error) {
	return r.askRaw(request{role: role}, resp.AppendCommand(nil, args...))
}

func (r *relay) askRaw(q request, message []byte) (string, error) {
	q.own, q.to, q.began, q.answer = true, r.fromClient.current, r.engine.cfg.Now(), make(chan string, 1)
	r.push(q)
	if err := r.write(message); err != nil {
		return "", err
	}
	select {
	case answer := <-q.answer:
		return answer, nil
	case <-r.ctx.Done():
		return "", context.Cause(r.ctx)
	}
}
