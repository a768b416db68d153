package mysql

import (
	"sallyport/internal/audit"
	"sallyport/internal/mysqlwire"
)

// next makes the command that a packet answers the current one. It reports false if there is none.
func (r *relay) next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests.Len() == 0 {
		return false
	}
	a := &r.fromServer
	a.current, r.busy = r.requests.Pop(), true
	if a.current.command == mysqlwire.ComStmtFetch {
		a.state = stateRows
	}
	if a.current.command == mysqlwire.ComFieldList {
		a.state = stateFields
	}
	return true
}

// done notes that the current command is answered.
func (r *relay) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.fromServer
	a.current, a.state, a.midway = request{}, stateFirst, false
	a.rows, a.bytes = 0, 0
	r.busy, r.unsent = false, true
	r.noteWork()
	r.changed.Broadcast()
}

// delivered notes that the client has got all that is answered, if its last packet is whole, or that it gets nothing any more.
func (r *relay) delivered() {
	if a := &r.fromServer; !a.atBoundary() && !a.failed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsent {
		r.unsent = false
		r.changed.Broadcast()
	}
}

// completed ends the current command.
func (r *relay) completed(status audit.Status, rows int64) error {
	a := &r.fromServer
	a.result = audit.DatabaseResult{Status: status, Rows: rows, Bytes: a.bytes}
	return r.finish()
}

// failed ends the current command with an error message, whatever of its answer there was before.
func (r *relay) failed(payload []byte) error {
	e, err := mysqlwire.ParseError(payload)
	if err != nil {
		return desynchronised("%w", err)
	}
	a := &r.fromServer
	if a.current.statement != nil {
		r.notPrepared(a.current.statement)
	}
	a.result = audit.DatabaseResult{Status: audit.Status{Error: e.Error()}, SQLState: e.State, Rows: a.rows, Bytes: a.bytes}
	return r.finish()
}

// another ends one result of several.
func (r *relay) another(rows int64) error {
	a := &r.fromServer
	a.result = audit.DatabaseResult{Status: audit.Status{Success: true}, Rows: rows, Bytes: a.bytes}
	if err := r.recordResult(&a.current, &a.result); err != nil {
		return err
	}
	a.state, a.rows, a.bytes = stateFirst, 0, 0
	return nil
}

func (r *relay) finish() error {
	a := &r.fromServer
	if a.current.recorded {
		if a.current.sent {
			a.result.CopyDirection, a.result.CopyBytes = audit.CopyIn, r.copiedIn()
		}
		if err := r.recordResult(&a.current, &a.result); err != nil {
			return err
		}
	}
	r.done()
	return nil
}

func (r *relay) copiedIn() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.copied
	r.copied = 0
	return n
}
