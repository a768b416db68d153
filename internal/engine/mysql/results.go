package mysql

import (
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/mysqlwire"
)

// ok is the end of a command without rows, or of one of several.
func (r *relay) ok(payload []byte) error {
	ok, err := mysqlwire.ParseOK(payload, r.flags&mysqlwire.SessionTrack != 0)
	if err != nil {
		return desynchronised("%w", err)
	}
	a := &r.fromServer
	if ok.Status&mysqlwire.StatusMoreResults != 0 {
		if err := r.follow(&ok); err != nil {
			return err
		}
		return r.another(int64(ok.Affected))
	}
	switch a.current.command {
	case mysqlwire.ComInitDB:
		if err := r.use(a.current.name); err != nil {
			return err
		}
	case mysqlwire.ComResetConnection:
		r.forgetStatements()
	}
	if err := r.follow(&ok); err != nil {
		return err
	}
	return r.completed(audit.Status{Success: true}, int64(ok.Affected))
}

// follow notes a change of the logical database, of which the database tells clients that want to know.
func (r *relay) follow(ok *mysqlwire.OK) error {
	if name, changed := ok.Schema(); changed {
		return r.use(name)
	}
	return nil
}

// use has the events to come name another logical database. Each has the name in it, so that a long one would cost
// a lot.
func (r *relay) use(name string) error {
	if utf8.RuneCountInString(name) > maxName {
		return desynchronised("a change to a logical database whose name has %d bytes", len(name))
	}
	r.session.UseName(name)
	return nil
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
		if err := r.follow(&ok); err != nil {
			return err
		}
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
