package mongodb

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

const (
	maxUnanswered = 1_000 // commands sent ahead of their answers
	maxUnwanted   = 16
	goodbyeTime   = 2 * time.Second
	maxPayload    = 64 << 10 // of a message that cannot be read, for the record
)

// errGoodbye ends a relay in the ordinary way: the client has closed its connection while nothing was owed to it.
var errGoodbye = errors.New("goodbye")

// request is a command that the database has got and not answered yet. Servers answer in order.
type request struct {
	asked
	hello   bool
	exhaust bool // more answers than one may follow
	event   int64
	began   time.Time
	name    string // logical database
	reply   []byte // of ours, to a message that the database has not got; nil otherwise
}

// relay is the part of a session behind the login. One goroutine reads from the client, one from the database. The latter
// is the only one that writes to the client while an answer is due.
type relay struct {
	engine  *Engine
	session *session.Session
	client  net.Conn
	server  net.Conn

	ctx context.Context         // ends when either direction does
	end context.CancelCauseFunc // the first cause counts

	fromClient reader
	fromServer answers
	untold     atomic.Uint32 // the database's number of the connection, until the first result tells it

	mu        sync.Mutex
	changed   sync.Cond             // of what wait waits for
	requests  engine.Queue[request] // guarded by mu, like all that follows
	unflushed bool                  // an answer is read and not yet with the client
	unwanted  []int32               // numbers of commands to which the client wants no answer, the last ones
}

func newRelay(ctx context.Context, e *Engine, client, server net.Conn, s *session.Session, in *inbox.Inbox) *relay {
	r := &relay{engine: e, session: s, client: client, server: server}
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.changed.L = &r.mu
	r.fromClient.share = e.large.Share(s.Identity().Name, r.end)
	r.fromClient.in = in
	r.fromServer.in = inbox.New(&e.pool)
	return r
}

// run relays until either side is done or the context ends, and returns nil for a goodbye of the client.
func (r *relay) run() error {
	cause := engine.Run(r.ctx, r.end, r.interrupt, r.readClient, r.readServer)
	r.release()
	r.fromServer.in.Release()
	left := r.recordUnanswered()
	if errors.Is(cause, errGoodbye) {
		return nil
	}
	if len(left) > 0 {
		r.session.Abort() // the database is to stop what nobody waits for any more
	}
	if !errors.Is(cause, io.EOF) {
		r.farewell(cause, left)
	}
	return cause
}

// interrupt unblocks both directions. What is being written may be completed.
func (r *relay) interrupt() { engine.Interrupt(goodbyeTime, &r.changed, r.client, r.server) }

// wait returns when the condition, asked under the lock, holds, or the relay ends.
func (r *relay) wait(condition func() bool) error {
	return engine.Wait(r.ctx, &r.changed, condition)
}

// push notes that an answer is due.
func (r *relay) push(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests.Push(q)
	r.noteWork()
}

// queue has an answer of ours wait for those of the database that are due before it. It reports false when none is, so that
// the caller may give it at once.
func (r *relay) queue(q request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests.Len() == 0 && !r.unflushed {
		return false
	}
	r.requests.Push(q)
	return true
}

// nextReply takes an answer of ours whose turn it is, or returns nil. The caller gives it, and then asks for the next one.
func (r *relay) nextReply() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unflushed = r.replyIsNext()
	r.changed.Broadcast()
	if !r.unflushed {
		return nil
	}
	return r.requests.Pop().reply
}

// replyIsNext reports whether it is the turn of an answer of ours. It is called under the lock.
func (r *relay) replyIsNext() bool {
	next := r.requests.First()
	return next != nil && next.reply != nil
}

// refrain notes a command that is not to be answered.
func (r *relay) refrain(id int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unwanted) == maxUnwanted {
		r.unwanted = r.unwanted[1:]
	}
	r.unwanted = append(r.unwanted, id)
}

// isUsed reports whether a command that is not to be answered had this number: which of the two an answer is to could not be
// told.
func (r *relay) isUsed(id int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.unwanted, id)
}

// isUnwanted reports whether an answer is one that nobody wanted, of which there is at most one to each command: FerretDB
// answers all the same.
func (r *relay) isUnwanted(to int32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, next := slices.Index(r.unwanted, to), r.requests.First()
	if i < 0 || next != nil && next.id == to {
		return false
	}
	r.unwanted = slices.Delete(r.unwanted, i, i+1)
	return true
}

// owed returns the request that is answered next.
func (r *relay) owed() (request, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.requests.First()
	if next == nil || next.reply != nil {
		return request{}, false
	}
	return *next, true
}

// answered notes that the first request has its answer, or one of several, whose number the next answer names.
func (r *relay) answered(last bool, id int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unflushed = true
	if !last {
		r.requests.First().id = id
		return
	}
	r.requests.Pop()
	r.noteWork()
}

// flushed notes that the client has all that was read, and gives it what of ours was to come after that.
func (r *relay) flushed() error {
	for reply := r.nextReply(); reply != nil; reply = r.nextReply() {
		if err := r.writeToClient(reply); err != nil {
			return err
		}
	}
	return nil
}

// noteWork tells the session whether the database has something to do. A hello that waits for news is nothing. It is
// called under the lock.
func (r *relay) noteWork() {
	working, waiting := false, r.requests.Waiting()
	for i := range waiting {
		working = working || !waiting[i].hello && waiting[i].reply == nil
	}
	r.session.Working(working)
}

// recordUnanswered gives each command that was not answered its result: nobody knows it. It returns who is owed an
// answer.
func (r *relay) recordUnanswered() []request {
	r.mu.Lock()
	left := r.requests.TakeAll()
	r.mu.Unlock()
	for i := range left {
		_ = r.recordResult(&left[i], &audit.DatabaseResult{Status: audit.Status{Error: "the session ended before the database answered"}})
	}
	return left
}

// recordResult records how a command ended; it fills in which one it was.
func (r *relay) recordResult(q *request, result *audit.DatabaseResult) error {
	if q.hello || q.reply != nil {
		return nil
	}
	result.Statement, result.Database = q.event, q.name
	result.Duration = r.engine.cfg.Now().Sub(q.began)
	result.ConnectionID = uint64(r.untold.Swap(0))
	// A result is kept even when the session is over, so the context that ends with it is not asked.
	_, err := r.session.Record(context.WithoutCancel(r.ctx), result)
	return err
}

// farewell tells the client why the session ends, in answer to what it has asked. One that has asked nothing is given a
// moment to do so: the protocol has no other way to say something.
func (r *relay) farewell(cause error, owed []request) {
	if !r.fromServer.atBoundary() {
		return
	}
	deadline := time.Now().Add(goodbyeTime)
	_ = r.client.SetDeadline(deadline)
	var b []byte
	for i := range owed {
		if owed[i].reply != nil {
			b = append(b, owed[i].reply...)
			continue
		}
		b = owed[i].failure(b, cause)
	}
	if current := r.fromClient.current; current != nil {
		b = current.failure(b, cause)
	}
	if len(b) == 0 {
		next, err := r.fromClient.nextAsked(r.client)
		if err != nil {
			return
		}
		b = next.failure(b, cause)
	}
	_, _ = r.client.Write(b)
}

// nextAsked reads the next message of the client to its end, and returns what is to be answered.
func (c *reader) nextAsked(client io.Reader) (asked, error) {
	rest := io.MultiReader(newUnscanned(c.in), client)
	message, err := readMessage(rest, engine.LargeMessage)
	if err != nil {
		return asked{}, err
	}
	h := mongowire.ReadHeader(message)
	return asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery}, nil
}
