package redis

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// node is a connection to the database, or to one node of a cluster. All but its connection is used by the goroutine
// that reads from it.
type node struct {
	*relay
	*backend
	address string // in a cluster

	scanner    resp.Scanner
	swallow    bool        // what is being read is in answer to us
	whole      *wholeReply // where all of it is kept, if that is wanted
	bytes      int64       // of the reply under way
	speaking   bool        // toClient is held
	subscribed subscriptions
	listening  atomic.Bool // subscribed to anything, as all may read
	waits      bool        // for another node, to which it has redirected a command; guarded by mu
}

// lockClient takes toClient for this node until a whole reply is written, so that no other node's comes in between. Only the node's own
// reader calls it and unlockClient.
func (n *node) lockClient() {
	if !n.speaking {
		n.toClient.Lock()
		n.speaking = true
	}
}

func (n *node) unlockClient() {
	if n.speaking {
		n.speaking = false
		n.toClient.Unlock()
	}
}

// read passes on what the database says until it hangs up. The outcome of a command is recorded before the client
// reads it.
func (n *node) read() error {
	defer func() {
		if n.scanner.Mid() && !n.swallow && n.speaking {
			n.midReply = true
		}
		n.unlockClient()
	}()
	for {
		n.lockClient()
		if err := n.scan(); err != nil {
			_ = n.send() // what came before is in order
			return err
		}
		if !n.scanner.Mid() {
			n.unlockClient()
		}
		if count, err := n.in.Fill(n.conn, n.in.Scanned < n.in.End || n.scanner.Mid()); count == 0 && err != nil {
			return n.gone(err)
		}
	}
}

// gone says why nothing more comes from the database.
func (n *node) gone(err error) error {
	if n.ctx.Err() != nil || n.saidGoodbye.Load() {
		return errGoodbye
	}
	if err := n.tooLate(); err != nil {
		return err
	}
	explained := n.up.Explain(err)
	if _, known := errors.AsType[*fault.Error](explained); known {
		return explained
	}
	return engine.HungUp(err)
}

// scan looks at what has arrived, and sends it on.
func (n *node) scan() error {
	in := n.in
	for in.Scanned < in.End {
		if !n.scanner.Mid() {
			if err := n.begin(in.Buf[in.Scanned]); err != nil {
				return err
			}
		}
		size, reply, err := n.scanner.Scan(in.Buf[in.Scanned:in.End])
		if err != nil {
			return desynchronised("%v", err)
		}
		if reply != nil && n.cluster != nil && reply.Type == resp.Error && !n.swallow {
			followed, err := n.follow(reply, size)
			if err != nil {
				return err
			}
			if followed {
				continue
			}
		}
		in.Scanned += size
		n.bytes += int64(size)
		if n.whole != nil {
			if err := n.whole.keep(n.relay, in.Buf[in.Scanned-size:in.Scanned]); err != nil {
				return err
			}
		}
		if n.swallow {
			in.Start = in.Scanned
		}
		if reply == nil {
			break
		}
		ours, begun := n.swallow, n.bytes > int64(size)
		if err := n.complete(reply); err != nil {
			if !ours { // the client is not to have it, or no more of it
				in.Scanned -= size
				n.midReply = begun
			}
			return err
		}
	}
	return n.send()
}

// begin finds out for whom the reply is that begins.
func (n *node) begin(typ byte) error {
	n.scanner.Element = nil
	if n.fromServer.inMulti {
		n.scanner.Element = n.executed
	}
	n.mu.Lock()
	head := n.requests.First()
	n.swallow = n.owns > 0 && head != nil && head.own && head.to == n && !n.mayBeUnasked(typ)
	if n.whole = nil; n.swallow {
		n.whole = head.whole
	}
	n.mu.Unlock()
	if n.swallow {
		return n.send()
	}
	return nil
}

// mayBeUnasked reports whether a reply of this type is a message of a subscription, or may be one, and no answer to us: what we ask
// subscribers of version 2 of the protocol has no array for an answer.
func (n *node) mayBeUnasked(typ byte) bool {
	return typ == resp.Push || typ == resp.Array && n.subscribed.any() && n.proto.Load() == 2
}

func (n *node) complete(reply *resp.Reply) error {
	size := n.bytes
	if n.bytes = 0; !n.swallow {
		return n.answered(reply, size)
	}
	n.swallow = false
	return n.own(reply)
}

// own hands a reply to whoever waits for it here, as a line.
func (n *node) own(reply *resp.Reply) error {
	n.mu.Lock()
	q := n.pop()
	n.mu.Unlock()
	answer := fmt.Sprintf("%c%s", reply.Type, reply.Text)
	if n.whole != nil {
		n.whole.complete(reply)
		n.whole = nil
	}
	switch {
	case q.role == discard && answer == "+OK":
		if err := n.settleQueued(notExecuted); err != nil {
			return err
		}
	case q.role == reset:
		n.unsubscribeAll()
	case q.role == multi && answer == "+OK":
		n.fromServer.inMulti = true
	}
	q.answer <- answer
	if q.role == renewed {
		n.renewal.answered(answer)
	}
	return nil
}

// send records what became of the commands so far, and sends on what was looked at.
func (n *node) send() error {
	if err := n.fromServer.outcomes.flush(); err != nil {
		return err
	}
	pending := n.in.Pending()
	if len(pending) == 0 {
		return nil
	}
	n.in.Sent()
	if n.fromServer.failed {
		return nil
	}
	_, err := n.client.Write(pending)
	n.delivered()
	if err != nil {
		n.fromServer.failed = true
		if n.saidGoodbye.Load() && n.ctx.Err() == nil {
			return nil
		}
		return errors.Join(err, io.EOF)
	}
	n.session.Count(len(pending), 0)
	return nil
}

// delivered notes that the client has got all replies so far.
func (r *relay) delivered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent = false
	r.changed.Broadcast()
}

// answered attributes a reply to the command that it answers, and records the outcome.
func (n *node) answered(reply *resp.Reply, size int64) error {
	a := &n.fromServer
	unasked, err := n.unasked(reply)
	if unasked || err != nil {
		return err
	}
	n.mu.Lock()
	if head := n.requests.First(); head == nil || head.own {
		n.mu.Unlock()
		return desynchronised("a reply of type %q to nothing: %q", reply.Type, reply.Text)
	}
	q := n.pop()
	n.mu.Unlock()
	failure := failureOf(reply)
	switch {
	case q.role == exec, q.role == discard, q.role == reset:
		if q.role == reset && failure == "" {
			n.proto.Store(2)
			n.unsubscribeAll()
		}
		if err := n.endMulti(&q, reply, failure); err != nil {
			return err
		}
	case a.inMulti && reply.Type == resp.Simple && string(reply.Text) == "QUEUED":
		return n.queue(&q)
	case q.role == multi:
		n.mu.Lock()
		n.noMulti = failure != "" && !a.inMulti
		n.mu.Unlock()
		a.inMulti = a.inMulti || failure == ""
	case q.role == selects && failure == "" && q.database != "":
		n.noteSelected(q.database)
	case q.role == hello && failure == "" && q.proto != 0:
		n.proto.Store(int32(q.proto))
	}
	return n.recordOutcome(&q, failure, rowsOf(reply), size)
}
