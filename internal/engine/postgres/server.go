package postgres

import (
	"encoding/binary"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
)

// answers is the state of the direction from the database.
type answers struct {
	inbox   *inbox.Inbox
	skip    int64 // bytes of a message that are still to come and need no look
	failed  bool  // a write to the client went wrong
	current request

	rows    int64 // of the current statement
	bytes   int64 // of its answer
	copying byte  // beCopyInResponse or beCopyOutResponse while one is under way
	copied  int64 // bytes of COPY to the client
	last    int64 // index of the event of the last statement that ended, or -1
	fatal   *serverError
	refused bool // the message that was looked at last is the error that we have made the database say

	result audit.DatabaseResult
	tag    string // the last one, as the next is likely to be the same
}

// atBoundary reports whether the client was sent whole messages.
func (a *answers) atBoundary() bool { return a.skip == 0 && !a.failed }

// How much of a message is looked at.
const (
	lookNever  = iota // no backend sends it to a client that is logged in
	lookHeader        // its type and length tell all
	lookWhole
	lookApart // it answers nothing and may come at any time
)

var looks = [256]uint8{
	beBindComplete: lookHeader, beCloseComplete: lookHeader, beCopyData: lookHeader, beCopyDone: lookHeader,
	beCopyInResponse: lookHeader, beCopyOutResponse: lookHeader, beDataRow: lookHeader, beEmptyQueryResponse: lookHeader,
	beFunctionCallResponse: lookHeader, beNoData: lookHeader, beParseComplete: lookHeader, bePortalSuspended: lookHeader,
	beRowDescription: lookHeader,

	beCommandComplete: lookWhole, beErrorResponse: lookWhole, beParameterDescription: lookWhole, beReadyForQuery: lookWhole,

	beNoticeResponse: lookApart, beNotification: lookApart, beParameterStatus: lookApart,
}

// readServer reads messages until the database goes, and sends on, in one write, what one read brought.
func (r *relay) readServer() error {
	a := &r.fromServer
	a.last = -1
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
		return &ending{engine.HungUp(err), stateConnectionFailure}
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
		if len(frame) < headerSize {
			break
		}
		typ, size := frame[0], int64(binary.BigEndian.Uint32(frame[1:]))
		look := looks[typ]
		if look == lookNever || size < lengthSize || size > maxStream {
			return desynchronised("message %q of length %d", typ, size)
		}
		total := size + headerSize - lengthSize
		var body []byte
		if look == lookWhole {
			// Of one larger than the buffer the beginning has to do.
			need := min(total, inbox.Large)
			if int64(len(frame)) < need {
				break
			}
			body = frame[headerSize:need]
		}
		if look != lookApart {
			a.bytes += total
			if err := r.reply(typ, size-lengthSize, body); err != nil {
				return err
			}
			if a.refused {
				if err := r.tellRefusal(int(total)); err != nil {
					return err
				}
				continue
			}
		}
		a.skip = total
	}
	if in.Brimful() && (a.skip > 0 || in.Scanned < in.End) {
		return nil // one write for all of it
	}
	return r.sendToClient()
}

func (r *relay) sendToClient() error {
	a := &r.fromServer
	pending := a.inbox.Pending()
	if len(pending) == 0 {
		return nil
	}
	a.inbox.Sent()
	if a.failed {
		return nil
	}
	if _, err := r.client.Write(pending); err != nil {
		a.failed = true
		if r.saidGoodbye.Load() && r.ctx.Err() == nil {
			return nil // it does not want the rest, but the statement goes on
		}
		return engine.LeftSilently(err)
	}
	r.session.Count(len(pending), 0)
	return nil
}

// reply attributes a message of the database to the request it answers, and acts on it.
func (r *relay) reply(typ byte, size int64, body []byte) error {
	a := &r.fromServer
	if typ == beErrorResponse {
		return r.replyError(parseServerError(body))
	}
	if a.current.kind == 0 && !r.next(typ) {
		return desynchronised("message %q in answer to nothing", typ)
	}
	kind := a.current.kind
	returnsRows := kind == feQuery || kind == feExecute
	switch {
	case typ == beDataRow && returnsRows:
		a.rows++
	case typ == beCopyData && a.copying == beCopyOutResponse:
		a.copied += size
	case typ == beCopyDone && a.copying == beCopyOutResponse:
	case typ == beRowDescription && kind == feQuery:
	case typ == beCommandComplete && returnsRows:
		return r.completed(body)
	case typ == beEmptyQueryResponse && returnsRows:
		return r.completed(nil)
	case typ == bePortalSuspended && kind == feExecute:
		return r.completed(nil)
	case typ == beReadyForQuery && (kind == feSync || kind == feQuery || kind == feFunctionCall):
		return r.ready(body)
	case typ == beParseComplete && kind == feParse:
		r.settleStatement()
	case typ == beBindComplete && kind == feBind:
		r.settlePortal()
	case typ == beCloseComplete && kind == feClose:
		r.settleClose()
	case typ == beParameterDescription && kind == feDescribe && !a.current.ofPortal:
		r.describeParameters(body)
	case (typ == beRowDescription || typ == beNoData) && kind == feDescribe:
		r.done()
	case typ == beCopyInResponse && returnsRows && a.copying == 0:
		a.copying = typ
		r.beginCopyIn()
	case typ == beCopyOutResponse && returnsRows && a.copying == 0:
		a.copying = typ
	case typ == beFunctionCallResponse && kind == feFunctionCall:
		a.current.told, a.current.over = true, true
		return r.recordOutcome(audit.Status{Success: true}, "", "")
	default:
		return desynchronised("message %q in answer to %q", typ, kind)
	}
	return nil
}
