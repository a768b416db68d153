package redis

import (
	"errors"
	"fmt"
	"io"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

const maxQueued = 100_000 // commands in one transaction

const notExecuted = "not executed, because the transaction was discarded"

// answers is the state of the direction from the database.
type answers struct {
	scanner resp.Scanner
	swallow bool  // what is being read is in answer to us
	bytes   int64 // of the reply under way
	proto   byte
	failed  bool // a write to the client went wrong

	inMulti bool
	queued  []queued // commands that wait for EXEC
	settled int      // of them that have their outcome

	subscribed subscriptions

	result audit.DatabaseResult
}

// queued is a command that waits for EXEC.
type queued struct {
	event  int64
	began  time.Time
	masked bool
}

func (q *queued) request() *request { return &request{event: q.event, began: q.began, masked: q.masked} }

// readServer passes on what the database says until it hangs up. The outcome of a command is recorded before the
// client reads it.
func (r *relay) readServer() error {
	in := r.server.in
	for {
		if err := r.scanServer(); err != nil {
			_ = r.sendToClient() // what came before is in order
			return err
		}
		n, err := in.Fill(r.server.conn, in.Scanned < in.End || r.fromServer.scanner.Mid())
		if n == 0 && err != nil {
			return r.serverGone(err)
		}
	}
}

// serverGone says why nothing more comes from the database.
func (r *relay) serverGone(err error) error {
	if r.ctx.Err() != nil || r.saidGoodbye() {
		return errGoodbye
	}
	explained := r.server.up.Explain(err)
	if _, known := errors.AsType[*fault.Error](explained); known {
		return explained
	}
	return closed(err)
}

// scanServer looks at what has arrived, and sends it on.
func (r *relay) scanServer() error {
	a, in := &r.fromServer, r.server.in
	for in.Scanned < in.End {
		if !a.scanner.Mid() {
			if err := r.beginReply(in.Buf[in.Scanned]); err != nil {
				return err
			}
		}
		n, reply, err := a.scanner.Scan(in.Buf[in.Scanned:in.End])
		if err != nil {
			return desynchronised("%v", err)
		}
		in.Scanned += n
		a.bytes += int64(n)
		if a.swallow {
			in.Start = in.Scanned
		}
		if reply == nil {
			break
		}
		size := a.bytes
		if a.bytes = 0; a.swallow {
			a.swallow = false
			err = r.own(reply)
		} else {
			err = r.answered(reply, size)
		}
		if err != nil {
			return err
		}
	}
	return r.sendToClient()
}

// beginReply finds out for whom the reply is that begins.
func (r *relay) beginReply(typ byte) error {
	a := &r.fromServer
	a.scanner.Element = nil
	if a.inMulti {
		a.scanner.Element = r.executed
	}
	r.mu.Lock()
	head := r.requests.first()
	a.swallow = r.owns > 0 && head != nil && head.own && typ != resp.Push
	r.mu.Unlock()
	if a.swallow {
		return r.sendToClient()
	}
	return nil
}

// own hands a reply to whoever waits for it here.
func (r *relay) own(reply *resp.Reply) error {
	r.mu.Lock()
	q := r.pop()
	r.mu.Unlock()
	if q.role == discard {
		if err := r.settleQueued(notExecuted); err != nil {
			return err
		}
	}
	q.answer <- fmt.Sprintf("%c%s", reply.Type, reply.Text)
	return nil
}

func (r *relay) sendToClient() error {
	a, in := &r.fromServer, r.server.in
	pending := in.Pending()
	if len(pending) == 0 {
		return nil
	}
	in.Sent()
	if a.failed {
		return nil
	}
	r.toClient.Lock()
	_, err := r.client.Write(pending)
	r.midReply = a.scanner.Mid() && !a.swallow
	r.toClient.Unlock()
	r.delivered()
	if err != nil {
		a.failed = true
		if r.saidGoodbye() && r.ctx.Err() == nil {
			return nil
		}
		return errors.Join(err, io.EOF)
	}
	r.session.Count(len(pending), 0)
	return nil
}

// delivered notes that the client has got all replies so far.
func (r *relay) delivered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent = false
	if r.waiters > 0 {
		r.changed.Broadcast()
	}
}

// answered attributes a reply to the command that it answers, and records the outcome.
func (r *relay) answered(reply *resp.Reply, size int64) error {
	a := &r.fromServer
	unasked, err := r.unasked(reply)
	if unasked || err != nil {
		return err
	}
	r.mu.Lock()
	if r.requests.len() == 0 {
		r.mu.Unlock()
		return desynchronised("a reply of type %q to nothing: %q", reply.Type, reply.Text)
	}
	q := r.pop()
	r.mu.Unlock()
	failure := failureOf(reply)
	switch {
	case q.role == exec, q.role == discard, q.role == reset:
		if err := r.endMulti(&q, reply, failure); err != nil {
			return err
		}
	case a.inMulti && reply.Type == resp.Simple && string(reply.Text) == "QUEUED":
		return r.queue(&q)
	case q.role == multi && failure == "":
		a.inMulti = true
	case q.role == hello && failure == "" && q.proto != 0:
		a.proto = q.proto
	}
	return r.recordOutcome(&q, failure, rowsOf(reply), size)
}

func (r *relay) recordOutcome(q *request, failure string, rows, size int64) error {
	if q.masked && failure != "" {
		failure = resp.Code([]byte(failure)) + " (the rest of the error is not recorded, because it may repeat a secret)"
	}
	return r.recordResult(q, audit.Status{Success: failure == "", Error: failure}, rows, size)
}

func failureOf(reply *resp.Reply) string {
	if reply.Type == resp.Error || reply.Type == resp.BlobError {
		return string(reply.Text)
	}
	return ""
}

// rowsOf counts what a reply brings: elements, or one for what has none.
func rowsOf(reply *resp.Reply) int64 {
	switch reply.Type {
	case resp.Array, resp.Set, resp.Map, resp.Push:
		return reply.Count
	case resp.Error, resp.BlobError:
		return 0
	}
	if reply.Null {
		return 0
	}
	return 1
}

// queue keeps a command until EXEC tells its outcome.
func (r *relay) queue(q *request) error {
	a := &r.fromServer
	if len(a.queued) >= maxQueued {
		return fault.New(fault.LimitExceeded, "a transaction has more than %d commands; use several", maxQueued)
	}
	a.queued = append(a.queued, queued{q.event, q.began, q.masked})
	return nil
}

// executed records the outcome of one command of a transaction, from its place in the reply to EXEC.
func (r *relay) executed(place int64, failure []byte) {
	a := &r.fromServer
	if place != int64(a.settled) || a.settled >= len(a.queued) {
		return
	}
	q := a.queued[a.settled]
	a.settled++
	// What cannot be recorded ends the session by itself.
	_ = r.recordOutcome(q.request(), string(failure), 0, 0)
}

// endMulti gives what is left of a transaction its outcome.
func (r *relay) endMulti(q *request, reply *resp.Reply, failure string) error {
	a := &r.fromServer
	if q.role != exec && failure != "" || q.role == exec && resp.Code(reply.Text) == codeError {
		return nil // there was none
	}
	if q.role == reset {
		a.proto, a.subscribed = 2, subscriptions{}
	}
	outcome := notExecuted
	if q.role == exec && reply.Null {
		outcome = "not executed, because a watched key has changed"
	}
	a.inMulti = false
	return r.settleQueued(outcome)
}

// settleQueued gives the commands of a transaction that have no outcome the one that they were not executed.
func (r *relay) settleQueued(outcome string) error {
	a := &r.fromServer
	for _, q := range a.queued[min(a.settled, len(a.queued)):] {
		if err := r.recordOutcome(q.request(), outcome, 0, 0); err != nil {
			return err
		}
	}
	a.inMulti, a.settled = false, 0
	if a.queued = a.queued[:0]; cap(a.queued) > keptRequests {
		a.queued = nil
	}
	return nil
}
