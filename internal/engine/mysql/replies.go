package mysql

import (
	"sallyport/internal/audit"
	"sallyport/internal/mysqlwire"
)

// packet attributes a packet of the database to the command it answers, and acts on it. The payload is cut off behind
// what was asked for.
func (r *relay) packet(first byte, size int, payload []byte) error {
	a := &r.fromServer
	if a.state == stateFirst && a.current.command == 0 && !r.next() {
		return r.unasked(first, payload)
	}
	a.midway = true
	if first == mysqlwire.HeaderError {
		return r.failed(payload)
	}
	switch a.state {
	case stateFirst:
		return r.firstPacket(first, payload)
	case stateDefinitions:
		return r.definition(stateDefined)
	case stateDefined:
		return r.defined(first, payload)
	case stateRows:
		if first == mysqlwire.HeaderEOF && r.endsRows(size) {
			return r.rowsEnd(payload)
		}
		a.rows++
		return nil
	case stateParameters:
		return r.definition(stateParametersEnd)
	case stateParametersEnd:
		return r.definitionsEnd(first, size)
	case stateColumns:
		return r.definition(stateColumnsEnd)
	case stateColumnsEnd:
		return r.definitionsEnd(first, size)
	default: // stateFields
		if first == mysqlwire.HeaderEOF && r.endsRows(size) {
			return r.completed(audit.Status{Success: true}, 0)
		}
		return nil
	}
}

// endsRows tells the packet that ends rows from a row that begins with the same byte, which is that of a value of 16
// MiB and more.
func (r *relay) endsRows(size int) bool {
	const sizeOfEOF = 9
	if r.flags&mysqlwire.DeprecateEOF != 0 {
		return size < mysqlwire.MaxPayload
	}
	return size < sizeOfEOF
}

// unasked is a packet that answers nothing. Only an error may come so, when the database closes the connection.
func (r *relay) unasked(first byte, payload []byte) error {
	if first != mysqlwire.HeaderError {
		return desynchronised("packet %#x in answer to nothing", first)
	}
	e, err := mysqlwire.ParseError(payload)
	if err != nil {
		return desynchronised("%w", err)
	}
	r.fromServer.fatal = &e
	return nil
}

// next makes the command that a packet answers the current one. It reports false if there is none.
func (r *relay) next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests.len() == 0 {
		return false
	}
	a := &r.fromServer
	a.current, r.busy = r.requests.pop(), true
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
	r.busy = false
	r.noteWork()
	r.changed.Broadcast()
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

// completed ends the current command.
func (r *relay) completed(status audit.Status, rows int64) error {
	a := &r.fromServer
	a.result = audit.DatabaseResult{Status: status, Rows: rows, Bytes: a.bytes}
	return r.finish()
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

// firstPacket begins an answer.
func (r *relay) firstPacket(first byte, payload []byte) error {
	a := &r.fromServer
	switch a.current.command {
	case mysqlwire.ComStatistics:
		return r.completed(audit.Status{Success: true}, 0)
	case mysqlwire.ComStmtPrepare:
		return r.answerPrepare(first, payload)
	case mysqlwire.ComQuery, mysqlwire.ComStmtExecute, mysqlwire.ComStmtBulkExecute, mysqlwire.ComProcessInfo:
		switch first {
		case mysqlwire.HeaderOK:
			return r.ok(payload)
		case mysqlwire.HeaderFile:
			return r.wantsFile(payload)
		case mysqlwire.HeaderEOF:
			return desynchronised("an EOF in place of an answer")
		}
		return r.beginRows(payload)
	case mysqlwire.ComSetOption, mysqlwire.ComDebug, mysqlwire.ComShutdown, mysqlwire.ComRefresh:
		if first == mysqlwire.HeaderEOF {
			return r.completed(audit.Status{Success: true}, 0)
		}
	}
	if first != mysqlwire.HeaderOK {
		return desynchronised("packet %#x in answer to command %#x", first, byte(a.current.command))
	}
	return r.ok(payload)
}

// ok is the end of a command without rows, or of one of several.
func (r *relay) ok(payload []byte) error {
	ok, err := mysqlwire.ParseOK(payload, r.flags&mysqlwire.SessionTrack != 0)
	if err != nil {
		return desynchronised("%w", err)
	}
	a := &r.fromServer
	if ok.Status&mysqlwire.StatusMoreResults != 0 {
		r.follow(&ok)
		return r.another(int64(ok.Affected))
	}
	switch a.current.command {
	case mysqlwire.ComInitDB:
		r.session.UseName(a.current.name)
	case mysqlwire.ComResetConnection:
		r.forgetStatements()
	}
	r.follow(&ok)
	return r.completed(audit.Status{Success: true}, int64(ok.Affected))
}

// follow notes a change of the logical database, of which the database tells clients that want to know.
func (r *relay) follow(ok *mysqlwire.OK) {
	if name, changed := ok.Schema(); changed {
		r.session.UseName(name)
	}
}

func (r *relay) forgetStatements() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.statements {
		r.drop(id)
	}
}

func (r *relay) beginRows(payload []byte) error {
	n, defined, err := mysqlwire.Columns(payload, r.flags&mysqlwire.CacheMetadata != 0)
	if err != nil {
		return desynchronised("%w", err)
	}
	a := &r.fromServer
	a.left, a.state = n, stateDefinitions
	if !defined {
		return r.allDefined(stateDefined)
	}
	return nil
}

// definition is one of a column or parameter.
func (r *relay) definition(behind state) error {
	a := &r.fromServer
	if a.left--; a.left > 0 {
		return nil
	}
	return r.allDefined(behind)
}

// allDefined goes on behind the last definition: to the packet that ends them or, where that was agreed on, to what
// comes next.
func (r *relay) allDefined(behind state) error {
	a := &r.fromServer
	if a.state = behind; r.flags&mysqlwire.DeprecateEOF == 0 {
		return nil
	}
	switch behind {
	case stateDefined:
		a.state = stateRows
		return nil
	case stateParametersEnd:
		return r.columnsOfPrepared()
	default:
		return r.completed(audit.Status{Success: true}, 0)
	}
}

// defined is the packet behind the definitions of columns. Rows follow, unless they are fetched apart.
func (r *relay) defined(first byte, payload []byte) error {
	a := &r.fromServer
	status, err := mysqlwire.ParseEOF(payload)
	if err != nil || first != mysqlwire.HeaderEOF {
		return desynchronised("packet %#x behind definitions", first)
	}
	a.state = stateRows
	if a.current.cursor && status&mysqlwire.StatusCursorExists != 0 {
		return r.completed(audit.Status{Success: true}, 0)
	}
	return nil
}

// rowsEnd ends the rows of a result.
func (r *relay) rowsEnd(payload []byte) error {
	a := &r.fromServer
	var status uint16
	if r.flags&mysqlwire.DeprecateEOF != 0 {
		ok, err := mysqlwire.ParseOK(payload, r.flags&mysqlwire.SessionTrack != 0)
		if err != nil {
			return desynchronised("%w", err)
		}
		r.follow(&ok)
		status = ok.Status
	} else {
		var err error
		if status, err = mysqlwire.ParseEOF(payload); err != nil {
			return desynchronised("%w", err)
		}
	}
	if status&mysqlwire.StatusMoreResults != 0 && a.current.command != mysqlwire.ComStmtFetch {
		return r.another(a.rows)
	}
	return r.completed(audit.Status{Success: true}, a.rows)
}

func (r *relay) answerPrepare(first byte, payload []byte) error {
	a := &r.fromServer
	p, err := mysqlwire.ParsePrepared(payload)
	if err != nil || first != mysqlwire.HeaderOK {
		return desynchronised("packet %#x in answer to a preparation", first)
	}
	r.prepared(a.current.statement, p)
	if a.columns = p.Columns; p.Parameters == 0 {
		return r.columnsOfPrepared()
	}
	a.left, a.state = p.Parameters, stateParameters
	return nil
}

func (r *relay) columnsOfPrepared() error {
	a := &r.fromServer
	if a.columns == 0 {
		return r.completed(audit.Status{Success: true}, 0)
	}
	a.left, a.state = a.columns, stateColumns
	return nil
}

// definitionsEnd is the packet behind definitions in the answer to a preparation.
func (r *relay) definitionsEnd(first byte, size int) error {
	if first != mysqlwire.HeaderEOF || !r.endsRows(size) {
		return desynchronised("packet %#x behind definitions", first)
	}
	if r.fromServer.state == stateParametersEnd {
		return r.columnsOfPrepared()
	}
	return r.completed(audit.Status{Success: true}, 0)
}
