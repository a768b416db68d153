package mysql

import (
	"sallyport/internal/audit"
	"sallyport/internal/mysqlwire"
)

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

// prepared notes what the database says of a statement that it has prepared.
func (r *relay) prepared(s *statement, p mysqlwire.Prepared) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(p.ID)
	s.id, s.parameters, s.settled = p.ID, p.Parameters, true
	if more := len(s.text) + p.Parameters*bytesPerParameter - s.held; more > 0 { // there are others than question marks
		s.held += more
		r.kept.Owe(more)
	}
	r.statements[p.ID] = s
	r.preparing--
	r.changed.Broadcast()
}

const (
	bytesPerParameter = 32        // kept by the end of a statement's life, for its type and whether it was sent in pieces
	maxParameters     = 1<<16 - 1 // of a statement
)

// notPrepared notes that it has refused to, or has gone back on it.
func (r *relay) notPrepared(s *statement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.settled {
		r.drop(s.id)
		return
	}
	s.settled, s.failed = true, true
	r.kept.Remove(s.held)
	r.preparing--
	r.changed.Broadcast()
}
