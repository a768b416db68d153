package mysql

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
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const (
	maxMessage    = 64 << 20 // of commands, which are kept whole while they are read
	maxUnanswered = 10_000   // commands sent ahead of their answers
	maxStatements = 1_024    // prepared ones
	maxPayload    = 64 << 10 // of what cannot be read, for the record
	goodbyeTime   = 2 * time.Second
)

// errGoodbye ends a relay in the ordinary way.
var errGoodbye = errors.New("goodbye")

// relay is the part of a session behind the login. One goroutine reads from the client, one from the database;
// each of them is the only writer to the other side, but for answers that we give ourselves while none is due.
type relay struct {
	engine  *Engine
	session *session.Session
	client  net.Conn
	server  net.Conn
	flags   mysqlwire.Flags                             // agreed on with both sides
	again   func(ctx context.Context) (*backend, error) // logs in to the database once more
	number  uint32                                      // of the connection, in the database
	first   uint32                                      // the same, until a result has told it
	verbose bool                                        // more commands are recorded than those that matter

	ctx     context.Context         // ends when either direction does
	end     context.CancelCauseFunc // the first cause counts
	lasting context.Context         // ctx without its end

	fromClient reader // of the goroutine that reads from the client
	fromServer answers

	toClient    sync.Mutex  // held while something is written to the client
	saidGoodbye atomic.Bool // by the client: what breaks off from then on is no failure

	mu         sync.Mutex
	changed    sync.Cond             // of what wait waits for
	requests   engine.Queue[request] // guarded by mu, like all that follows
	busy       bool                  // fromServer.current is being answered
	unsent     bool                  // the client has not got the last answer yet
	statements map[uint32]*statement
	preparing  int         // statements whose preparation is not answered
	kept       engine.Kept // of statements
	copied     int64       // bytes of the file that the client sent last
	file       bool        // the client is to send a file, and has not sent the end of it
}

func newRelay(ctx context.Context, e *Engine, client net.Conn, s *session.Session, flags mysqlwire.Flags, b *backend) *relay {
	r := &relay{engine: e, session: s, client: client, server: b.conn, number: b.connection, first: b.connection, flags: flags, verbose: s.Options().RecordProtocol, statements: make(map[uint32]*statement), kept: e.room.Kept(s.Identity().Name)}
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.lasting = context.WithoutCancel(r.ctx)
	r.changed.L = &r.mu
	r.fromClient.share = e.large.Share(s.Identity().Name, r.end)
	r.fromClient.inbox, r.fromServer.inbox = inbox.New(&e.buffers), inbox.New(&e.buffers)
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

// unanswered returns how many commands wait for their answer. It is called under the lock.
func (r *relay) unanswered() int {
	n := r.requests.Len()
	if r.busy {
		n++
	}
	return n
}

// noteWork tells the session whether the database has something to do. It is called under the lock.
func (r *relay) noteWork() {
	r.session.Working(r.unanswered() > 0)
}

// isWorking reports whether the database has something to do.
func (r *relay) isWorking() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unanswered() > 0
}

// depart waits for the answers that are due to a client that has said goodbye: it wants its statements to be
// completed, as they would be without us.
func (r *relay) depart() error {
	_ = r.wait(func() bool { return r.unanswered() == 0 })
	return errGoodbye
}

// farewell tells the client why the session ends, if it can still read that, and the database that it is over, if
// its connection was not broken off.
func (r *relay) farewell(cause error, abandoned bool) {
	deadline := time.Now().Add(goodbyeTime)
	if message := r.farewellMessage(cause); message != nil && r.fromServer.atBoundary() {
		_ = r.client.SetWriteDeadline(deadline)
		_, _ = r.client.Write(message)
	}
	if r.fromClient.atBoundary() && !r.saidGoodbye.Load() && !abandoned {
		_ = r.server.SetWriteDeadline(deadline)
		_, _ = r.server.Write([]byte{1, 0, 0, 0, byte(mysqlwire.ComQuit)})
	}
}

// farewellMessage returns nil for endings that the client knows of. One that waits for nothing takes the message as the
// answer to its next command.
func (r *relay) farewellMessage(cause error) []byte {
	_, told := errors.AsType[*mysqlwire.ServerError](cause)
	_, left := errors.AsType[*engine.Departure](cause)
	if told || left || errors.Is(cause, errGoodbye) {
		return nil
	}
	n := errShutdown
	if e, ok := errors.AsType[*ending](cause); ok {
		n = e.number
	}
	return mysqlwire.ErrorPacket(r.fromServer.nextSequence(), n.code, n.state, fault.Message(cause))
}

// recordUnanswered gives each command that is still running or waiting its result: nobody knows it. It reports
// whether the database has anything left to do.
func (r *relay) recordUnanswered() (any bool) {
	r.mu.Lock()
	left := r.requests.TakeAll()
	if r.busy {
		left = append([]request{r.fromServer.current}, left...)
	}
	r.mu.Unlock()
	for i := range left {
		if left[i].recorded {
			_ = r.recordResult(&left[i], &audit.DatabaseResult{Status: audit.Status{Error: "the session ended before the database answered"}})
		}
	}
	return len(left) > 0
}

// recordResult records how a command ended; it fills in which one it was.
func (r *relay) recordResult(q *request, result *audit.DatabaseResult) error {
	result.Statement = q.event
	result.Duration = r.engine.cfg.Now().Sub(q.began)
	result.ConnectionID, r.first = uint64(r.first), 0
	// A result is kept even when the session is over, so the context that ends with it is not asked.
	_, err := r.session.Record(r.lasting, result)
	return err
}
