package postgres

import (
	"sallyport/internal/audit"
	"sallyport/internal/engine"
)

// unexecuted is a text that is about to be sent and that no message of the same write executes, as far as is
// known yet. SQL can run it all the same: EXECUTE a prepared statement, FETCH from a portal; and already when a
// Bind is planned, functions run.
type unexecuted struct {
	statement *statement // of a Parse with a name
	portal    *portal    // of a Bind
}

// recordUnexecuted keeps, before a write, what no Execute in it has recorded.
func (r *relay) recordUnexecuted() error {
	c := &r.fromClient
	defer func() {
		clear(c.unexecuted)
		if c.unexecuted = c.unexecuted[:0]; cap(c.unexecuted) > engine.KeptRequests {
			c.unexecuted = nil
		}
	}()
	for _, u := range c.unexecuted {
		var err error
		switch {
		case u.portal != nil && !u.portal.executed:
			err = r.recordUnexecutedBind(u.portal)
		case u.statement != nil && !u.statement.executed:
			_, err = r.session.Record(r.ctx, &audit.PostgresParse{StatementName: u.statement.name, Query: u.statement.text})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *relay) recordUnexecutedBind(p *portal) error {
	if r.isSkipped(p) {
		return nil // the database will ignore it
	}
	if err := r.recordBind(p); err != nil {
		return err
	}
	if r.isSkipped(p) {
		return r.recordSkipped(&request{event: p.event, began: p.began})
	}
	return nil
}

func (r *relay) isSkipped(p *portal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.skipped
}

// recordBind keeps a Bind with the text that it binds, and notes under which index.
func (r *relay) recordBind(p *portal) error {
	defer p.forgetShown()
	event := &audit.PostgresBind{StatementName: p.named, PortalName: p.name, Parameters: r.show(p), Uncertain: p.uncertain}
	if p.statement != nil {
		event.Query = p.statement.text
	}
	began := r.engine.cfg.Now()
	index, err := r.session.Record(r.ctx, event)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.event, p.began = index, began
	return nil
}

// isRecorded reports whether there is an event of its own that a result can be of, and completes the request so
// that it names that event. It is called under the lock.
func (q *request) isRecorded() bool {
	if q.kind == feBind && q.portal.event != 0 {
		q.event, q.began = q.portal.event, q.portal.began
		return true
	}
	return q.runs()
}
