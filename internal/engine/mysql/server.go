package mysql

import (
	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mysqlwire"
)

// answers is the state of the direction from the database.
type answers struct {
	inbox     *inbox.Inbox
	skip      int64 // bytes of a packet that are still to come and need no look
	continued bool  // the next packet goes on with the payload of the last one
	sequence  byte  // of the last packet
	midway    bool  // the client has read a part of an answer
	failed    bool  // a write to the client went wrong
	current   request
	state     state
	left      int // definitions that are still to come
	columns   int // of the answer that is being prepared, whose definitions come last

	rows   int64 // of the current result
	bytes  int64 // of it
	fatal  *mysqlwire.ServerError
	result audit.DatabaseResult
}

// state is what is expected of the database next.
type state uint8

const (
	stateFirst       state = iota // the beginning of an answer, or of one more result of it
	stateDefinitions              // of columns
	stateDefined                  // the packet behind them
	stateRows
	stateParameters // definitions in the answer to a preparation
	stateParametersEnd
	stateColumns
	stateColumnsEnd
	stateFields // definitions, until the packet that ends them
)

// atBoundary reports whether the client was sent whole packets, once it was sent what has been looked at.
func (a *answers) atBoundary() bool { return a.skip == 0 && !a.continued && !a.failed }

// nextSequence is what a packet of ours has to be numbered.
func (a *answers) nextSequence() byte {
	if a.midway {
		return a.sequence + 1
	}
	return 1
}

// readServer reads packets until the database goes, and sends on, in one write, what one read brought.
func (r *relay) readServer() error {
	a := &r.fromServer
	for {
		underWay := a.skip > 0 || a.inbox.Scanned < a.inbox.End
		n, err := a.inbox.Fill(r.server, underWay)
		if n > 0 {
			if scanErr := r.scanServer(); scanErr != nil {
				_ = r.sendToClient() // what came before is in order
				return scanErr
			}
		}
		if err != nil {
			return r.serverGone(err)
		}
	}
}

// serverGone says why nothing more comes from the database.
func (r *relay) serverGone(err error) error {
	switch {
	case r.ctx.Err() != nil, r.saidGoodbye.Load():
		return errGoodbye
	case r.fromServer.fatal != nil:
		return fault.Wrap(fault.ConnectionProblem, r.fromServer.fatal, "the database ended the session")
	default:
		return &ending{engine.HungUp(err), errUnknown}
	}
}

// scanServer looks at what has arrived.
func (r *relay) scanServer() error {
	a := &r.fromServer
	in := a.inbox
	for in.Scanned < in.End {
		if a.skip > 0 {
			a.skip -= in.Skip(a.skip)
			continue
		}
		frame := in.Buf[in.Scanned:in.End]
		if len(frame) < mysqlwire.HeaderSize {
			break
		}
		size, sequence := mysqlwire.Size(frame)
		if !a.continued {
			if size == 0 {
				return desynchronised("a packet without a byte")
			}
			if len(frame) == mysqlwire.HeaderSize {
				break
			}
			first := frame[mysqlwire.HeaderSize]
			need := mysqlwire.HeaderSize + 1
			if a.looksAt(first, size) {
				// Of one larger than the buffer the beginning has to do.
				need = min(mysqlwire.HeaderSize+size, inbox.Large)
			}
			if len(frame) < need {
				break
			}
			a.bytes += int64(mysqlwire.HeaderSize + size)
			if err := r.packet(first, size, frame[mysqlwire.HeaderSize:need]); err != nil {
				return err
			}
		} else {
			a.bytes += int64(mysqlwire.HeaderSize + size)
		}
		a.sequence, a.continued = sequence, size == mysqlwire.MaxPayload
		a.skip = int64(mysqlwire.HeaderSize + size)
	}
	if in.Brimful() && (a.skip > 0 || in.Scanned < in.End) {
		return nil // one write for all of it
	}
	return r.sendToClient()
}

// looksAt reports whether all of a packet matters, and not only its first byte.
func (a *answers) looksAt(first byte, size int) bool {
	switch a.state {
	case stateRows:
		return first == mysqlwire.HeaderError || first == mysqlwire.HeaderEOF && size < mysqlwire.MaxPayload
	case stateDefinitions, stateParameters, stateColumns, stateFields:
		return first == mysqlwire.HeaderError || first == mysqlwire.HeaderEOF
	default:
		return true
	}
}

func (r *relay) sendToClient() error {
	a := &r.fromServer
	pending := a.inbox.Pending()
	if len(pending) == 0 {
		return nil
	}
	a.inbox.Sent()
	defer r.delivered()
	if a.failed {
		return nil
	}
	r.toClient.Lock()
	_, err := r.client.Write(pending)
	r.toClient.Unlock()
	if err != nil {
		a.failed = true
		if r.saidGoodbye.Load() && r.ctx.Err() == nil {
			return nil // it does not want the rest, but the statement goes on
		}
		return engine.LeftSilently(err)
	}
	r.session.Count(len(pending), 0)
	return nil
}
