package postgres

import "sallyport/internal/audit"

// replyError acts on an error message of the database.
func (r *relay) replyError(e serverError) error {
	a := &r.fromServer
	if e.fatal() {
		// It may come at any time, and the connection ends.
		a.fatal = &e
		if a.current.kind == 0 {
			r.next(beErrorResponse)
		}
		if a.current.runs() && !a.current.over {
			a.current.over = true
			return r.recordOutcome(audit.Status{Error: e.Error()}, e.state, "")
		}
		return nil
	}
	if a.current.kind == 0 && !r.next(beErrorResponse) {
		return desynchronised("an error in answer to nothing: %v", &e)
	}
	switch a.current.kind {
	case feQuery, feFunctionCall: // a ReadyForQuery follows
		a.current.told, a.current.over = true, true
		return r.failed(e)
	case feSync: // the transaction could not be committed; a ReadyForQuery follows
		return r.recordLate(e)
	default:
		return r.failSegment(e)
	}
}

// failed records the error of the current statement.
func (r *relay) failed(e serverError) error {
	err := r.recordOutcome(audit.Status{Error: e.Error()}, e.state, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copyingIn = false
	r.fromServer.copying = 0
	return err
}

// recordLate adds to the last statement before a Sync that it did not last.
func (r *relay) recordLate(e serverError) error {
	a := &r.fromServer
	if a.last < 0 {
		return nil
	}
	a.current.event = a.last
	a.current.began = r.engine.cfg.Now()
	return r.recordOutcome(audit.Status{Error: e.Error()}, e.state, "")
}

// failSegment ends the current message of the extended protocol with an error. The database skips all others
// up to the next Sync.
func (r *relay) failSegment(e serverError) error {
	a := &r.fromServer
	failed := a.current
	a.refused = failed.kind == refusedMessage
	if failed.kind == feExecute {
		if err := r.failed(e); err != nil {
			return err
		}
	}
	a.copying = 0
	skipped, recorded := r.skipAfter(&failed)
	if failed.kind == feBind && recorded {
		if err := r.recordFailed(&failed, e); err != nil {
			return err
		}
	}
	return r.recordSkippedAfter(&failed, skipped, e)
}

// skipAfter takes back what failed and what the database skips behind it. It returns the requests among the
// latter that were recorded, and whether the failed one was.
func (r *relay) skipAfter(failed *request) (skipped []request, recorded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failed.touches == 0 {
		r.undefine(failed)
	}
	if failed.kind == feParse && failed.statement.name == "" || failed.kind == refusedMessage && failed.name == "" {
		r.dropStatement("") // the database has dropped it before it read the new one
	}
	defer r.doneLocked()
	return r.skipToSync(), failed.isRecorded()
}

// skipToSync takes out the requests that will have no answer, and returns those that were recorded.
func (r *relay) skipToSync() (skipped []request) {
	r.copyingIn = false
	for q := r.requests.First(); q != nil; q = r.requests.First() {
		if q.kind == feSync {
			return skipped
		}
		dropped := r.requests.Pop()
		r.undefine(&dropped)
		if dropped.isRecorded() {
			skipped = append(skipped, dropped)
		}
	}
	r.skipping = true
	return skipped
}

// undefine takes back what a message that failed or was skipped would have defined.
func (r *relay) undefine(q *request) {
	switch {
	case q.touches != 0:
		r.lift(q)
	case q.kind == feParse:
		r.kept.Remove(q.statement.size())
		r.statements.forget(q.statement.name, q.id)
	case q.kind == feBind:
		q.portal.skipped = true
		r.kept.Remove(q.portal.kept)
		r.portals.forget(q.portal.name, q.id)
	case q.kind == feClose && q.ofPortal:
		r.portals.forget(q.name, q.id)
	case q.kind == feClose:
		r.statements.forget(q.name, q.id)
	}
}

func (r *relay) recordFailed(q *request, e serverError) error {
	return r.recordResult(q, &audit.DatabaseResult{Status: audit.Status{Error: e.Error()}, SQLState: e.state})
}

// recordSkippedAfter gives the statements that were recorded and then not executed their result. If the
// failed message prepared one of them, its error is that statement's; if none of them, the attempt is recorded.
func (r *relay) recordSkippedAfter(failed *request, skipped []request, e serverError) error {
	told := failed.kind != feParse
	prepares := failed.kind == feParse || failed.kind == feBind && failed.event == 0
	for i := range skipped {
		q := &skipped[i]
		if !prepares || !q.runs() || q.statement == nil || q.statement != failed.statement {
			if err := r.recordSkipped(q); err != nil {
				return err
			}
			continue
		}
		told, prepares = true, false
		if err := r.recordFailed(q, e); err != nil {
			return err
		}
	}
	if told {
		return nil
	}
	_, err := r.session.Record(r.ctx, &audit.DatabaseQueryFailed{
		DatabaseQuery: audit.DatabaseQuery{Query: failed.statement.text, StatementName: failed.statement.name},
		Error:         e.Error(),
	})
	return err
}
