package redis

import (
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

const maxQueued = 100_000 // commands in one transaction

const notExecuted = "not executed, because the transaction was discarded"

// answers is the state of the direction from the database. It is used by whoever holds toClient.
type answers struct {
	failed   bool // a write to the client went wrong
	outcomes outcomes

	inMulti bool
	queued  []queued // commands that wait for EXEC
	settled int      // of them that have their outcome
}

// queued is a command that waits for EXEC.
type queued struct {
	event   int64
	command int
	began   time.Time
	masked  bool

	database string // of SELECT
}

func (q *queued) request() *request {
	return &request{event: q.event, command: q.command, began: q.began, masked: q.masked}
}

// queue keeps a command until EXEC tells its outcome.
func (r *relay) queue(q *request) error {
	a := &r.fromServer
	if len(a.queued) >= maxQueued {
		return fault.New(fault.LimitExceeded, "a transaction has more than %d commands; use several", maxQueued)
	}
	a.queued = append(a.queued, queued{q.event, q.command, q.began, q.masked, q.database})
	return nil
}

// executed notes the outcome of one command of a transaction, from its place in the reply to EXEC.
func (r *relay) executed(place int64, reply *resp.Reply, size int64) {
	a := &r.fromServer
	if place != int64(a.settled) || a.settled >= len(a.queued) {
		return
	}
	q := a.queued[a.settled]
	a.settled++
	if q.database != "" && failureOf(reply) == "" {
		r.noteSelected(q.database)
	}
	// What cannot be recorded ends the session by itself.
	_ = r.recordOutcome(q.request(), failureOf(reply), rowsOf(reply), size)
}

// endsMulti are the codes of errors of EXEC with which the transaction is over: those of clusters, which come in place of its execution,
// beside the usual one (https://redis.io/docs/latest/develop/using-commands/transactions/).
var endsMulti = map[string]bool{codeAborted: true, codeCrossSlot: true, "MOVED": true, "ASK": true, "TRYAGAIN": true, "CLUSTERDOWN": true}

// endMulti gives what is left of a transaction its outcome.
func (r *relay) endMulti(q *request, reply *resp.Reply, failure string) error {
	a := &r.fromServer
	over := failure == "" || q.role == exec && endsMulti[resp.Code(reply.Text)]
	r.mu.Lock()
	r.goesOn = a.inMulti && !over
	r.mu.Unlock()
	if !over {
		return nil // there was none, or the account may not end it
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
		if err := a.outcomes.failed(q.request(), outcome, 0); err != nil {
			return err
		}
	}
	a.inMulti, a.settled = false, 0
	if a.queued = a.queued[:0]; cap(a.queued) > engine.KeptRequests {
		a.queued = nil
	}
	return nil
}

// enterMulti notes that a transaction begins. One within another is an error, and leaves the first as it is.
func (r *relay) enterMulti() {
	r.mu.Lock()
	r.noMulti = false
	r.mu.Unlock()
	f := &r.fromClient
	f.multi, f.dirty = true, f.multi && f.dirty
}

// exec ends a transaction.
func (r *relay) exec(size int) (err error) {
	f := &r.fromClient
	dirty := f.multi && f.dirty
	f.multi, f.dirty, f.pinned = false, false, nil
	if dirty {
		err = r.discardDirty(size)
	} else {
		err = r.perform(request{role: exec}, size)
	}
	if err != nil {
		return err
	}
	return r.behindMulti()
}

// behindDiscard looks whether a DISCARD has ended the transaction: an account may be refused it.
func (r *relay) behindDiscard() error {
	f := &r.fromClient
	if !f.multi {
		return nil
	}
	if err := r.settled(); err != nil {
		return err
	}
	r.mu.Lock()
	goesOn := r.goesOn
	r.mu.Unlock()
	if goesOn {
		return nil
	}
	f.multi, f.dirty, f.pinned = false, false, nil
	return r.behindMulti()
}

// discardDirty discards, at EXEC, a transaction of which a command was refused here, as the database does itself.
func (r *relay) discardDirty(size int) error {
	no := refuse(codeAborted, "Transaction discarded because of previous errors.")
	if err := r.recordRefusal(no); err != nil {
		return err
	}
	if err := r.settled(); err != nil {
		return err
	}
	r.drop(size)
	answer, err := r.askServer(discard, "DISCARD")
	if err != nil {
		return err
	}
	if answer != "+OK" {
		return fault.New(fault.ConnectionProblem, "a command of the transaction was refused, and the database does not let it be discarded (%s); connect again", answer[1:])
	}
	return r.reply(no.reply())
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
