package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/pgwire"
	"sallyport/internal/session"
)

const (
	maxUnanswered = 10_000 // messages sent ahead of their answers
	maxNames      = 1_024  // prepared statements with a name; the same for portals
	goodbyeTime   = 2 * time.Second
)

// errGoodbye ends a relay in the ordinary way.
var errGoodbye = errors.New("goodbye")

// relay is the part of a session behind the login. One goroutine reads from the client, one from the database;
// each of them is the only writer to the other side.
type relay struct {
	engine  *Engine
	session *session.Session
	client  net.Conn
	server  net.Conn
	verbose bool // Parse, Bind, Execute and Close are recorded too; what they lead to always is

	ctx context.Context         // ends when either direction does
	end context.CancelCauseFunc // the first cause counts

	fromClient reader // of the goroutine that reads from the client
	fromServer answers
	key        *cancellable // by which the running statement can be cancelled; nil if it cannot

	saidGoodbye atomic.Bool // by the client: what breaks off from then on is no failure

	mu         sync.Mutex
	changed    sync.Cond // of what wait waits for
	requests   queue     // guarded by mu, like all that follows
	busy       bool      // fromServer.current is being answered
	statements names[*statement]
	portals    names[*portal]
	spare      *portal     // to be used again
	segment    int64       // Syncs sent
	lastID     int64       // of definitions
	kept       engine.Kept // of statements and portals
	skipping   bool        // the database ignores everything up to the next Sync
	copyingIn  bool        // the database ignores Syncs, until the client ends its COPY
	guessed    int         // answers to Syncs that may have been those of later ones

	copied   atomic.Int64  // bytes of COPY from the client, since it last ended one or sent a command
	firstPID atomic.Uint32 // number of the connection, until the first result has told it
}

func newRelay(ctx context.Context, e *Engine, client net.Conn, s *session.Session, b *backend) *relay {
	r := &relay{engine: e, session: s, client: client, server: b.conn, verbose: s.Options().RecordProtocol, kept: e.room.Kept(s.Identity().Name)}
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.changed.L = &r.mu
	r.fromClient.share = e.large.Share(s.Identity().Name, r.end)
	r.fromClient.inbox, r.fromServer.inbox = inbox.New(&e.buffers), inbox.New(&e.buffers)
	r.firstPID.Store(b.key.processID)
	return r
}

// run relays until either side is done or the context ends, and returns nil for a goodbye of the client.
func (r *relay) run() error {
	defer r.kept.RemoveAll()
	cause := engine.Run(r.ctx, r.end, r.interrupt, r.readClient, r.readServer)
	r.release()
	if c := &r.fromClient; c.oversize != nil && !c.refused {
		_ = r.recordOversize(nil)
	}
	abandoned := r.recordUnanswered()
	var other sync.WaitGroup
	if abandoned {
		other.Go(r.stopDatabase)
	}
	r.farewell(cause, abandoned)
	other.Wait()
	if errors.Is(cause, errGoodbye) {
		return nil
	}
	return cause
}

// interrupt unblocks both directions. What is being written may be completed.
func (r *relay) interrupt() { engine.Interrupt(goodbyeTime, &r.changed, r.client, r.server) }

// wait returns when the condition, asked under the lock, holds, or the relay ends.
func (r *relay) wait(condition func() bool) error {
	return engine.Wait(r.ctx, &r.changed, condition)
}

// unanswered returns how many messages wait for their answer. It is called under the lock.
func (r *relay) unanswered() int {
	n := r.requests.Len()
	if r.busy {
		n++
	}
	return n
}

// noteWork tells the session whether the database has something to do. It is called under the lock.
func (r *relay) noteWork() {
	r.session.Working(r.unanswered() > 0 && !r.copyingIn)
}

// depart waits for the answers that are due to a client that has said its last word. One that said goodbye
// wants its statements to be completed, as they would be without us. One that only closed its direction may have
// died: its answers are not waited for for ever.
func (r *relay) depart(cause error) error {
	if !errors.Is(cause, errGoodbye) {
		timer := time.AfterFunc(r.engine.cfg.HalfClosed, func() { r.end(cause) })
		defer timer.Stop()
	}
	_ = r.wait(func() bool { return !r.busy && r.requests.due(r.guessed > 0) == 0 })
	return cause
}

// stopDatabase stops what is running, and keeps what waits behind it from ever beginning: a database that cannot
// send the answer to the one does not begin the other. So the connection goes first.
func (r *relay) stopDatabase() {
	r.session.Abort()
	if r.key != nil {
		r.engine.stopRunning(r.ctx, r.key)
	}
}

// farewell tells the client why the session ends, if it can still read that, and the database that it is over, if
// its connection was not broken off.
func (r *relay) farewell(cause error, abandoned bool) {
	deadline := time.Now().Add(goodbyeTime)
	if message := farewellMessage(cause); message != nil && r.fromServer.atBoundary() {
		_ = r.client.SetWriteDeadline(deadline)
		_, _ = r.client.Write(message)
	}
	if r.fromClient.atBoundary() && !r.saidGoodbye.Load() && !abandoned {
		_ = r.server.SetWriteDeadline(deadline)
		_, _ = r.server.Write([]byte{feTerminate, 0, 0, 0, lengthSize})
	}
}

// farewellMessage returns nil for endings that the client knows of.
func farewellMessage(cause error) []byte {
	_, told := errors.AsType[*serverError](cause)
	_, left := errors.AsType[*engine.Departure](cause)
	if told || left || errors.Is(cause, errGoodbye) {
		return nil
	}
	if e, ok := errors.AsType[*ending](cause); ok {
		return pgwire.Fatal(e.state, fault.Message(cause))
	}
	return pgwire.Fatal(stateAdminShutdown, fault.Message(cause))
}

// recordUnanswered gives each statement that is still running or waiting its result: nobody knows it. It reports
// whether the database has anything left to do.
func (r *relay) recordUnanswered() (any bool) {
	r.mu.Lock()
	left := r.requests.Waiting()
	r.requests = queue{}
	r.mu.Unlock()
	if current := r.fromServer.current; current.kind != 0 && !current.over {
		left = append([]request{current}, left...)
	}
	for i := range left {
		if left[i].isRecorded() {
			_ = r.recordResult(&left[i], &audit.DatabaseResult{Status: audit.Status{Error: "the session ended before the database answered"}})
		}
	}
	return len(left) > 0
}

// recordResult records how a request ended; it fills in which one it was.
func (r *relay) recordResult(q *request, result *audit.DatabaseResult) error {
	result.Statement = q.event
	result.Duration = r.engine.cfg.Now().Sub(q.began)
	result.PostgresPID = r.firstPID.Swap(0)
	// A result is kept even when the session is over, so the context that ends with it is not asked.
	_, err := r.session.Record(context.WithoutCancel(r.ctx), result)
	return err
}
