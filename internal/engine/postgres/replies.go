package postgres

import (
	"bytes"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/inbox"
)

// next makes the request that a message answers the current one. It reports false if there is none.
//
// Whether the database answers a Sync that came while a COPY failed depends on how far it had read. The answer to
// a later Sync looks the same, so it is taken for that of the first, and for each such guess one Sync may turn out
// to be without an answer.
func (r *relay) next(typ byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for q := r.requests.First(); q != nil; q = r.requests.First() {
		isSync := q.kind == feSync
		switch {
		case q.kind == feCopyDone:
			r.requests.Pop()
			continue
		case isSync && typ != beReadyForQuery && (q.optional || r.guessed > 0):
			if !r.requests.Pop().optional {
				r.guessed--
			}
			continue
		case isSync && q.optional:
			r.guessed++
			if q.more > 0 {
				q.more--
				r.fromServer.current, r.busy = *q, true
				return true
			}
		case !isSync:
			r.guessed = 0
		}
		r.fromServer.current = r.requests.Pop()
		r.busy = true
		return true
	}
	return false
}

// done notes that the current request is answered.
func (r *relay) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doneLocked()
}

func (r *relay) doneLocked() {
	if q := &r.fromServer.current; q.touches != 0 {
		r.touched(q)
	}
	r.dropCopyEnds()
	r.fromServer.current = request{}
	r.fromServer.bytes = 0
	r.busy = false
	r.noteWork()
	r.changed.Broadcast()
}

// completed ends one command: all of an Execute, or one of those in a Query.
func (r *relay) completed(body []byte) error {
	a := &r.fromServer
	var tag string
	if body != nil {
		text, _, ok := cutString(body)
		if !ok {
			return desynchronised("a command tag without an end")
		}
		if a.tag != string(text) {
			a.tag = string(text)
		}
		tag = a.tag
	}
	a.current.told = true
	if err := r.recordOutcome(audit.Status{Success: true}, "", tag); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.copying == beCopyInResponse {
		r.endCopyIn()
	}
	a.copying = 0
	r.followTag(tag)
	if a.current.kind == feExecute {
		r.doneLocked()
	}
	return nil
}

func (r *relay) dropStatement(name string) {
	if s := r.statements.drop(name); s != nil {
		r.kept.Remove(s.size())
	}
}

// recordOutcome records how the current statement, or one of several in a Query, ended.
func (r *relay) recordOutcome(status audit.Status, state, tag string) error {
	a := &r.fromServer
	a.last = a.current.event
	rows, counted := rowsOf(tag)
	if !counted {
		rows = a.rows
	}
	a.result = audit.DatabaseResult{Status: status, Rows: rows, Bytes: a.bytes, SQLState: state, CommandTag: tag}
	switch a.copying {
	case beCopyInResponse:
		a.result.CopyDirection, a.result.CopyBytes = audit.CopyIn, r.copiedIn()
	case beCopyOutResponse:
		a.result.CopyDirection, a.result.CopyBytes = audit.CopyOut, a.copied
	}
	a.rows, a.bytes, a.copied = 0, 0, 0
	return r.recordResult(&a.current, &a.result)
}

// rowsOf returns the number at the end of a command tag.
func rowsOf(tag string) (rows int64, ok bool) {
	start := len(tag)
	for start > 0 && tag[start-1] >= '0' && tag[start-1] <= '9' {
		start--
	}
	rows, err := strconv.ParseInt(tag[start:], 10, 64)
	return rows, err == nil
}

// ready ends a Query, a function call or what is before a Sync.
func (r *relay) ready(body []byte) error {
	if len(body) != 1 || bytes.IndexByte([]byte("ITE"), body[0]) < 0 {
		return desynchronised("a ReadyForQuery with status %q", body)
	}
	a := &r.fromServer
	if a.current.runs() && !a.current.told {
		if err := r.recordOutcome(audit.Status{Success: true}, "", ""); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.current.kind == feQuery {
		r.dropStatement("")
	}
	if body[0] == 'I' {
		// Portals end with their transaction.
		for name := range r.portals.settled {
			r.recycle(r.portals.drop(name))
		}
	}
	a.rows, a.copying, a.last = 0, 0, -1
	r.doneLocked()
	return nil
}

// recycle keeps a portal that is no longer known for the next Bind, unless it is large.
func (r *relay) recycle(p *portal) {
	if p == nil {
		return
	}
	r.kept.Remove(p.kept)
	if cap(p.values)+cap(p.converted) <= inbox.Small && cap(p.parameters) <= engine.KeptRequests {
		r.spare = p
	}
}

func (r *relay) settleStatement() {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.fromServer.current
	if old := r.statements.settle(q.statement.name, q.id, q.statement); old != nil {
		r.kept.Remove(old.size())
	}
	r.doneLocked()
}

func (r *relay) settlePortal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.fromServer.current
	r.recycle(r.portals.settle(q.portal.name, q.id, q.portal))
	r.doneLocked()
}

func (r *relay) settleClose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := &r.fromServer.current; q.ofPortal {
		r.portals.forget(q.name, q.id)
		r.recycle(r.portals.drop(q.name))
	} else {
		r.statements.forget(q.name, q.id)
		r.dropStatement(q.name)
	}
	r.doneLocked()
}

// describeParameters keeps the types by which binary values can be read. A row description follows.
func (r *relay) describeParameters(body []byte) {
	s := r.fromServer.current.statement
	if s == nil || len(body) < 2 {
		return
	}
	types := decodeTypes(body[2:])
	types = types[:min(len(types), s.room)]
	r.mu.Lock()
	defer r.mu.Unlock()
	s.types = types
}
