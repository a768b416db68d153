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
