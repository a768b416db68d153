package postgres

import (
	"sallyport/internal/audit"
	"sallyport/internal/fault"
)

// message reads, records and notes one message of the client, which is sent on afterwards.
func (r *relay) message(typ byte, body []byte) error {
	if r.fromClient.copyEnded && isRequest(typ) {
		if err := r.settleCopy(); err != nil {
			return err
		}
	}
	switch typ {
	case feQuery:
		return r.query(body)
	case feParse:
		return r.parse(body)
	case feBind:
		return r.bind(body)
	case feExecute:
		return r.execute(body)
	case feDescribe:
		return r.describe(body)
	case feClose:
		return r.close(body)
	case feFunctionCall:
		return r.callFunction(body)
	case feSync:
		r.sync()
	case feCopyDone:
		r.endCopy()
	case feCopyFail:
		r.endCopy()
		return decodeCopyFail(body)
	}
	return nil // Flush and Terminate
}

// isRequest reports whether the database does something at a message in command mode.
func isRequest(typ byte) bool {
	switch typ {
	case feQuery, feParse, feBind, feDescribe, feExecute, feClose, feFunctionCall:
		return true
	}
	return false
}

func (r *relay) query(body []byte) error {
	text, err := queryText(body)
	if err != nil {
		return err
	}
	q := request{kind: feQuery, touches: touchedBy(text)}
	if q.touches&touchesStatements != 0 {
		q.change = understand(text)
	}
	r.fromClient.query = audit.DatabaseQuery{Query: text}
	return r.perform(q, &r.fromClient.query)
}

// perform records a command that the database will execute and notes that its answer is due.
func (r *relay) perform(q request, event audit.SessionEvent) error {
	q.began = r.engine.cfg.Now()
	var err error
	if q.event, err = r.session.Record(r.ctx, event); err != nil {
		return err
	}
	if r.push(q) {
		return nil
	}
	return r.recordSkipped(&q)
}

// recordSkipped says that the database ignores a command because an earlier one failed.
func (r *relay) recordSkipped(q *request) error {
	return r.recordResult(q, &audit.DatabaseResult{Status: audit.Status{Error: notExecuted}})
}

const notExecuted = "not executed, because an earlier message before the same Sync failed"

// push notes that an answer is due. It reports false when the database ignores the message.
func (r *relay) push(q request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pushLocked(q)
}

func (r *relay) pushLocked(q request) bool {
	if r.skipping {
		return false
	}
	// In COPY mode only a Sync may come before the end; the client takes the mode to be over.
	r.copyingIn = false
	if q.runs() {
		r.copied.Store(0)
	}
	if q.touches != 0 {
		r.touch(&q)
	}
	r.requests.Push(q)
	r.noteWork()
	return true
}

func (r *relay) parse(body []byte) error {
	m, err := decodeParse(body)
	if err != nil {
		return err
	}
	s := newStatement(string(m.name), append([]byte(nil), m.text...), decodeTypes(m.types))
	if s.touches&touchesStatements != 0 {
		s.change = understand(s.text)
	}
	if r.verbose {
		if _, err := r.session.Record(r.ctx, &audit.PostgresParse{StatementName: s.name, Query: s.text}); err != nil {
			return err
		}
	}
	defined, err := r.define(s)
	if err != nil {
		return err
	}
	if !defined {
		return r.refuseParse(s)
	}
	return nil
}

// define notes what a Parse that is sent on defines. It reports false when there is no room for it.
func (r *relay) define(s *statement) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkRoom(s.name, r.statements.count(), s.size()); err != nil {
		return false, err
	}
	if !r.skipping && !r.kept.Add(s.size()) {
		return false, nil
	}
	r.lastID++
	if r.pushLocked(request{kind: feParse, statement: s, id: r.lastID}) {
		r.statements.define(s.name, definition[*statement]{value: s, segment: r.segment, id: r.lastID})
		if s.name != "" && !r.verbose {
			r.fromClient.unexecuted = append(r.fromClient.unexecuted, unexecuted{statement: s})
		}
	}
	return true, nil
}

// checkRoom bounds what a session makes us keep.
func (r *relay) checkRoom(name string, count, size int) error {
	if name != "" && count >= maxNames || r.kept.Bytes()+size > r.engine.cfg.MaxKept {
		return endWith(stateLimitExceeded, fault.LimitExceeded,
			"the session keeps more than %d prepared statements or portals, or more than %d bytes of them; close those that are not needed any more", maxNames, r.engine.cfg.MaxKept)
	}
	return nil
}

func (r *relay) bind(body []byte) error {
	p := r.takePortal()
	m, err := decodeBind(body, p)
	if err != nil {
		return err
	}
	found, err := find(r, &r.statements, m.statement)
	if err != nil {
		return err
	}
	p.statement, p.uncertain = found.value, found.uncertain || found.value == nil
	p.name, p.named = keep(p.name, m.portal), keep(p.named, m.statement)
	if r.verbose {
		if err := r.recordBind(p); err != nil {
			return err
		}
	}
	defined, err := r.definePortal(p)
	if err != nil {
		return err
	}
	if !defined {
		return r.refuseBind(p)
	}
	return nil
}

// definePortal notes what a Bind that is sent on defines. It reports false when there is no room for it.
func (r *relay) definePortal(p *portal) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.kept = p.size()
	if err := r.checkRoom(p.name, r.portals.count(), p.kept); err != nil {
		return false, err
	}
	if !r.skipping && !r.kept.Add(p.kept) {
		return false, nil
	}
	r.lastID++
	if r.pushLocked(request{kind: feBind, statement: p.statement, portal: p, id: r.lastID}) {
		r.portals.define(p.name, definition[*portal]{value: p, segment: r.segment, id: r.lastID})
		if !r.verbose {
			r.fromClient.unexecuted = append(r.fromClient.unexecuted, unexecuted{portal: p})
		}
	}
	return true, nil
}

// keep returns the text as a string, without a copy if it has not changed.
func keep(old string, text []byte) string {
	if old == string(text) {
		return old
	}
	return string(text)
}

func (r *relay) takePortal() *portal {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.spare
	r.spare = nil
	if p == nil {
		p = &portal{}
	}
	p.executed, p.event, p.skipped = false, 0, false
	return p
}

func (r *relay) execute(body []byte) error {
	name, err := decodeExecute(body)
	if err != nil {
		return err
	}
	found, err := find(r, &r.portals, name)
	if err != nil {
		return err
	}
	if r.verbose {
		if _, err := r.session.Record(r.ctx, &audit.PostgresExecute{PortalName: string(name)}); err != nil {
			return err
		}
	}
	p, event, q := found.value, &r.fromClient.query, request{kind: feExecute}
	if p == nil {
		// A cursor of SQL, whose text is in the statement that declared it.
		*event = audit.DatabaseQuery{PortalName: string(name), Uncertain: true}
		return r.perform(q, event)
	}
	*event = audit.DatabaseQuery{Parameters: r.show(p), StatementName: p.named, PortalName: p.name, Uncertain: found.uncertain || p.uncertain}
	p.executed = true
	if s := p.statement; s != nil {
		event.Query, s.executed = s.text, true
		q.statement, q.touches, q.change = s, s.touches, s.change
	}
	defer p.forgetShown()
	return r.perform(q, event)
}

// show returns the values of a portal as they are recorded.
func (r *relay) show(p *portal) []audit.Parameter {
	if len(p.parameters) == 0 {
		return nil
	}
	var types []uint32
	if p.statement != nil {
		r.mu.Lock()
		types = p.statement.types
		r.mu.Unlock()
	}
	return p.show(types)
}

func (r *relay) describe(body []byte) error {
	m, err := decodeTarget(body)
	if err != nil {
		return err
	}
	q := request{kind: feDescribe, ofPortal: m.portal}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !m.portal {
		// If it is not certain which statement is described, its types are not needed.
		if s, wait := r.statements.lookUp(m.name, r.segment); !wait && !s.uncertain {
			q.statement = s.value
		}
	}
	r.pushLocked(q)
	return nil
}

func (r *relay) close(body []byte) error {
	m, err := decodeTarget(body)
	if err != nil {
		return err
	}
	name := string(m.name)
	if r.verbose {
		if _, err := r.session.Record(r.ctx, &audit.PostgresClose{Portal: m.portal, Name: name}); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	if !r.pushLocked(request{kind: feClose, ofPortal: m.portal, name: name, id: r.lastID}) {
		return nil
	}
	if m.portal {
		r.portals.define(name, definition[*portal]{segment: r.segment, id: r.lastID})
	} else {
		r.statements.define(name, definition[*statement]{segment: r.segment, id: r.lastID})
	}
	return nil
}

func (r *relay) callFunction(body []byte) error {
	call := &r.fromClient.call
	oid, err := decodeFunctionCall(body, call)
	if err != nil {
		return err
	}
	return r.perform(request{kind: feFunctionCall}, &audit.PostgresFunction{OID: oid, Args: call.parameters})
}
