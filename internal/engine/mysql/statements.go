package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// statement is one that was prepared. Its text does not change.
type statement struct {
	text   []byte
	mayUse bool // see mayUse

	settled    bool // the database has answered; guarded by the relay's mu, like the next four
	failed     bool
	id         uint32
	parameters int
	held       int // bytes that are counted for it

	// Of the goroutine that reads from the client.
	types []uint16     // of the values of the last execution
	long  map[int]bool // parameters of which pieces were sent since
}

func (s *statement) isLong(parameter int) bool { return s.long[parameter] }

func (r *relay) statementCommand(command mysqlwire.Command, body []byte) error {
	if command == mysqlwire.ComStmtPrepare {
		return r.prepare(body)
	}
	id, ok := mysqlwire.StatementID(body)
	if !ok {
		return errArgument
	}
	if id == mysqlwire.LastStatement && r.fromClient.unprepared {
		return r.withoutStatement(command, id)
	}
	s, err := r.find(id)
	if err != nil {
		return err
	}
	switch command {
	case mysqlwire.ComStmtExecute:
		return r.execute(id, s, body)
	case mysqlwire.ComStmtBulkExecute:
		return r.executeBulk(id, s, body)
	case mysqlwire.ComStmtLongData:
		return r.longData(id, s, body)
	case mysqlwire.ComStmtClose:
		return r.closeStatement(id, s)
	case mysqlwire.ComStmtReset:
		return r.resetStatement(id, s)
	default:
		return r.fetch(id, body)
	}
}

// find returns the statement of an id, or nil. One that is being prepared may not be known yet: then its answer is waited
// for, since ids can be guessed.
func (r *relay) find(id uint32) (*statement, error) {
	if id != mysqlwire.LastStatement {
		if s, known := r.statement(id); known {
			return s, nil
		}
		if err := r.await(func() bool { return r.preparing == 0 }); err != nil {
			return nil, err
		}
		s, _ := r.statement(id)
		return s, nil
	}
	s := r.fromClient.last
	if s == nil {
		return nil, nil
	}
	r.mu.Lock()
	settled := s.settled
	r.mu.Unlock()
	if !settled {
		if err := r.await(func() bool { return s.settled }); err != nil {
			return nil, err
		}
	}
	if s.failed {
		return nil, nil
	}
	return s, nil
}

// statement returns that of an id, if it is there, and whether that is all that is to be known.
func (r *relay) statement(id uint32) (s *statement, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s = r.statements[id]
	return s, s != nil || r.preparing == 0
}

func (r *relay) prepare(text []byte) error {
	size := len(text) + min(bytes.Count(text, []byte("?")), maxParameters)*bytesPerParameter
	r.mu.Lock()
	full := len(r.statements)+r.preparing >= maxStatements || r.kept.Bytes()+size > r.engine.cfg.MaxKept
	room := !full && r.kept.Add(size)
	if room {
		r.preparing++
	}
	r.mu.Unlock()
	if full {
		return endWith(errLimit, fault.LimitExceeded,
			"the session keeps more than %d prepared statements, or more than %d bytes of them; close those that are not needed any more", maxStatements, r.engine.cfg.MaxKept)
	}
	if r.fromClient.unprepared = !room; !room {
		return r.refusePreparation(text)
	}
	s := &statement{text: slices.Clone(text), mayUse: mayUse(text), held: size}
	r.fromClient.last = s
	return r.perform(request{command: mysqlwire.ComStmtPrepare, statement: s}, &audit.MySQLPrepare{Query: text})
}

// refusePreparation records and says that other sessions have taken the room for what is kept of statements.
func (r *relay) refusePreparation(text []byte) error {
	const why = "the agent keeps as much of prepared statements as it can for all sessions together; close those that are not needed any more, or send the statement as text"
	if _, err := r.session.Record(r.ctx, &audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: text}, Error: why}); err != nil {
		return err
	}
	return r.answer(errStatements, why)
}

// withoutStatement is a command about the statement prepared last, when that was refused here: the database would take it to be
// about the one before.
func (r *relay) withoutStatement(command mysqlwire.Command, id uint32) error {
	if command != mysqlwire.ComStmtLongData && command != mysqlwire.ComStmtClose {
		return r.unknownStatement(id, "what is about the one prepared last")
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	return errAnswered // with nothing, as always
}

// unknownStatement answers for a statement that was not prepared here, as the database would.
func (r *relay) unknownStatement(id uint32, what string) error {
	text := fmt.Sprintf("Unknown prepared statement handler (%d) given to %s", id, what)
	if _, err := r.session.Record(r.ctx, &audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{StatementID: id}, Error: text}); err != nil {
		return err
	}
	return r.answer(errNoStatement, "%s", text)
}

func (r *relay) execute(id uint32, s *statement, body []byte) error {
	if s == nil {
		return r.unknownStatement(id, "mysqld_stmt_execute")
	}
	x, err := mysqlwire.ParseExecute(body, s.parameters, s.types, s.isLong)
	if err != nil {
		return err
	}
	s.types = x.Types
	clear(s.long)
	c := &r.fromClient
	parameters := appendShown(c.parameters[:0], x.Values)
	if cap(parameters) <= keptParameters {
		c.parameters = parameters
	}
	if r.verbose {
		if _, err := r.session.Record(r.ctx, &audit.MySQLExecute{StatementID: s.id, Parameters: parameters}); err != nil {
			return err
		}
	}
	c.settling = s.mayUse
	c.query = audit.DatabaseQuery{Query: s.text, Parameters: parameters, StatementID: s.id}
	return r.perform(request{command: mysqlwire.ComStmtExecute, cursor: x.Cursor}, &c.query)
}

const keptParameters = 64 // room that an idle session may keep

// appendShown appends values as they are recorded.
func appendShown(parameters []audit.Parameter, values []mysqlwire.Value) []audit.Parameter {
	parameters = slices.Grow(parameters, len(values))
	for _, v := range values {
		switch {
		case v.Default:
			parameters = append(parameters, audit.Parameter{Value: []byte("DEFAULT")})
		case v.Ignored:
			parameters = append(parameters, audit.Parameter{Value: []byte("IGNORE")})
		default:
			parameters = append(parameters, audit.Parameter{Value: v.Text, Null: v.Null, Binary: v.Binary, Long: v.Long})
		}
	}
	return parameters
}

func (r *relay) executeBulk(id uint32, s *statement, body []byte) error {
	if s == nil {
		return r.unknownStatement(id, "mysqld_stmt_bulk_execute")
	}
	if r.flags&mysqlwire.BulkOperations == 0 {
		return r.refuseUnknown(mysqlwire.ComStmtBulkExecute)
	}
	x, err := mysqlwire.ParseBulk(body, s.parameters, s.types, func(values int) error { return r.reserveValues(s, len(body), values) })
	if err != nil {
		return err
	}
	s.types = x.Types
	clear(s.long)
	event := &audit.MySQLBulkExecute{StatementID: s.id, Query: s.text, Parameters: appendShown(nil, x.Values), Rows: x.Rows}
	return r.perform(request{command: mysqlwire.ComStmtBulkExecute}, event)
}

// longData is a piece of a value. It has no answer.
func (r *relay) longData(id uint32, s *statement, body []byte) error {
	d, err := mysqlwire.ParseLongData(body)
	if err != nil {
		return err
	}
	if s != nil {
		if int(d.Parameter) >= s.parameters {
			return fmt.Errorf("a piece of parameter %d of %d", d.Parameter, s.parameters)
		}
		if s.long == nil {
			s.long = make(map[int]bool)
		}
		s.long[int(d.Parameter)] = true
		id = s.id
	}
	_, err = r.session.Record(r.ctx, &audit.MySQLLongData{StatementID: id, ParameterID: d.Parameter, Data: d.Data})
	return err
}

// closeStatement has no answer.
func (r *relay) closeStatement(id uint32, s *statement) error {
	if s != nil {
		id = s.id
	}
	if r.verbose {
		if _, err := r.session.Record(r.ctx, &audit.MySQLClose{StatementID: id}); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(id)
	return nil
}

// drop forgets a statement. It is called under the lock.
func (r *relay) drop(id uint32) {
	if s := r.statements[id]; s != nil {
		r.kept.Remove(s.held)
		s.failed = true
		delete(r.statements, id)
	}
}

func (r *relay) resetStatement(id uint32, s *statement) error {
	q := request{command: mysqlwire.ComStmtReset}
	if s != nil {
		clear(s.long)
		id = s.id
	}
	if r.verbose {
		return r.perform(q, &audit.MySQLReset{StatementID: id})
	}
	r.push(q)
	return nil
}

func (r *relay) fetch(id uint32, body []byte) error {
	if len(body) != 8 {
		return errArgument
	}
	return r.perform(request{command: mysqlwire.ComStmtFetch}, &audit.MySQLFetch{StatementID: id, Rows: binary.LittleEndian.Uint32(body[4:])})
}
