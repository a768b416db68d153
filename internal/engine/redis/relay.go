package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

const maxUnanswered = 10_000 // commands sent ahead of their replies

// relay is the part of a visit behind the login. One goroutine reads from the client and is the only one that writes
// to the database; the other reads from the database.
type relay struct {
	*visit
	server  *node    // of a cluster, the one that was reached first
	cluster *cluster // nil where there is none

	ctx context.Context         // ends when either direction does
	end context.CancelCauseFunc // the first cause counts

	fromClient reader
	fromServer answers
	proto      atomic.Int32 // version of the protocol

	toClient sync.Mutex // held while a reply is written to the client
	midReply bool       // the client has no more than the beginning of the last reply; guarded by toClient

	renewal renewal

	saidGoodbye atomic.Bool // by the client: what breaks off from then on is no failure

	readers sync.WaitGroup // goroutines that read from the database

	mu       sync.Mutex
	nodes    []*node   // guarded by mu
	changed  sync.Cond // of what wait waits for
	requests engine.Queue[request]
	answers  int64  // requests that were answered
	selected string // the database that the connection is in
	held     int    // bytes of those that are not
	owns     int    // requests that are not the client's
	unsent   bool   // replies to others are not with the client yet
	noMulti  bool   // the database has refused the last MULTI that it was asked for
	goesOn   bool   // and the last EXEC or DISCARD, within a transaction
}

func newRelay(ctx context.Context, v *visit, b *backend) *relay {
	r := &relay{visit: v}
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.changed.L = &r.mu
	r.fromClient.share = v.engine.large.Share(v.session.Identity().Name, r.end)
	r.renewal.done = make(chan struct{}, 1)
	r.proto.Store(2)
	r.selected = v.database
	r.server = &node{relay: r, backend: b}
	r.fromServer.outcomes = outcomes{connection: b.number, now: v.engine.cfg.Now, record: func(event *audit.DatabaseResult) error {
		// A result is kept even when the session is over, so the context that ends with it is not asked.
		_, err := v.session.Record(context.WithoutCancel(ctx), event)
		return err
	}}
	r.fromClient.current = r.server
	r.fromClient.scripts.kept = v.engine.room.Kept(v.session.Identity().Name)
	_ = v.client.SetReadDeadline(time.Time{})
	return r
}

// run relays until either side is done or the context ends, and returns nil for an ordinary end.
func (r *relay) run() error {
	defer r.fromClient.scripts.forget()
	r.start(r.server)
	r.readers.Go(r.keepLogin)
	cause := engine.Run(r.ctx, r.end, r.interrupt, r.readClient)
	r.readers.Wait()
	r.release()
	if r.cluster != nil {
		r.cluster.share.Release()
	}
	if r.recordUnanswered() {
		r.session.Abort() // the database is not to begin what waits behind
		if errors.Is(cause, errLeft) {
			cause = fmt.Errorf("the client left before the database answered: %w", io.EOF)
		}
	}
	r.farewell(cause)
	r.closeNodes()
	if errors.Is(cause, errGoodbye) || errors.Is(cause, errLeft) {
		return nil
	}
	return cause
}

// start reads from a node until the relay ends.
func (r *relay) start(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = append(r.nodes, n)
	r.readers.Go(func() { r.end(engine.Guard("relay", n.read)) })
	if r.ctx.Err() != nil { // interrupt may have missed it
		_ = n.conn.SetDeadline(time.Unix(1, 0))
	}
}

// interrupt unblocks both directions. What is being written may be completed.
func (r *relay) interrupt() {
	conns := []net.Conn{r.client}
	r.mu.Lock()
	for _, n := range r.nodes { // start sees to those that come later
		conns = append(conns, n.conn)
	}
	r.mu.Unlock()
	engine.Interrupt(goodbyeTime, &r.changed, conns...)
}

// push notes that replies are due.
func (r *relay) push(requests ...request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := r.requests.Len() == r.owns
	for i := range requests {
		q := &requests[i]
		r.requests.Push(*q)
		r.held += len(q.sent)
		if q.own {
			r.owns++
		}
	}
	if idle && r.requests.Len() > r.owns { // what we ask for ourselves is no activity
		r.session.Working(true)
	}
}

// pop notes that the first request is answered, and returns it. It is called under the lock.
func (r *relay) pop() request {
	q := *r.requests.First()
	r.requests.Pop()
	r.answers++
	r.held -= len(q.sent)
	if q.own {
		r.owns--
	} else {
		r.unsent = true
	}
	if !q.own && r.requests.Len() == r.owns {
		r.session.Working(false)
	}
	r.changed.Broadcast()
	return q
}

// wait returns when the condition, asked under the lock, holds, or the relay ends.
func (r *relay) wait(condition func() bool) error {
	return engine.Wait(r.ctx, &r.changed, condition)
}

// recordUnanswered gives each command that is still running or waiting its outcome: nobody knows it. It reports
// whether the database has anything left to do for the client.
func (r *relay) recordUnanswered() (any bool) {
	r.mu.Lock()
	left := r.requests.Waiting()
	r.requests = engine.Queue[request]{}
	r.mu.Unlock()
	_ = r.fromServer.outcomes.flush()
	const unknown = "the session ended before the database answered"
	_ = r.settleQueued(unknown)
	for i := range left {
		if !left[i].own {
			_ = r.fromServer.outcomes.failed(&left[i], unknown, 0)
		}
		any = any || left[i].role != renewed
	}
	return any
}

// farewell tells the client why the session ends, if it does not know that and can still read it.
func (r *relay) farewell(cause error) {
	if errors.Is(cause, errGoodbye) || errors.Is(cause, io.EOF) || errors.Is(cause, errLeft) {
		return
	}
	r.toClient.Lock()
	defer r.toClient.Unlock()
	if r.midReply {
		return
	}
	r.in.Release() // what it said last is answered by this
	r.parser = resp.Parser{}
	_ = r.lastReply(replyOf(cause))
}
