package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/pgwire"
)

// A Parse or Bind is refused when other sessions have taken the room for what is kept of them. To the client that is to be what
// any error is: a transaction is rolled back, and what comes before the next Sync is ignored. Only the database can do that,
// so it is sent, in place of the message, one that fails; and the client, in place of its error, the reason.

// refusedMessage is the kind of a request whose message was refused.
const refusedMessage = '!'

// errReplaced is that another message was sent in place of the one of the client.
var errReplaced = errors.New("another message was sent in its place")

const (
	noRoom = "the agent keeps as much of prepared statements and bound values as it can for all sessions together; close those that are not needed any more, or try again later"
	// failing is a text that no database can parse.
	failing = "refused by Sallyport: no room for the statement"
	// unused is the name under which it is sent in place of a Bind, which must not drop the statement without a name.
	unused = "sallyport refused"
)

// refuseParse records that a statement is not prepared, and has the database fail.
func (r *relay) refuseParse(s *statement) error {
	return r.refuse(audit.DatabaseQuery{Query: s.text, StatementName: s.name}, s.name)
}

// refuseBind does the same for a portal.
func (r *relay) refuseBind(p *portal) error {
	query := audit.DatabaseQuery{StatementName: p.named, PortalName: p.name, Parameters: r.show(p), Uncertain: p.uncertain}
	if p.statement != nil {
		query.Query = p.statement.text
	}
	return r.refuse(query, unused)
}

func (r *relay) refuse(query audit.DatabaseQuery, name string) error {
	if _, err := r.session.Record(r.ctx, &audit.DatabaseQueryFailed{DatabaseQuery: query, Error: noRoom}); err != nil {
		return err
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	message, err := (&pgproto3.Parse{Name: name, Query: failing}).Encode(nil)
	if err != nil {
		return err
	}
	r.mu.Lock()
	if r.pushLocked(request{kind: refusedMessage, name: name}) {
		r.skipping = true
	}
	r.mu.Unlock()
	if err := r.writeServer(message); err != nil {
		return err
	}
	return errReplaced
}

// tellRefusal sends the client the reason in place of an error of so many bytes.
func (r *relay) tellRefusal(total int) error {
	in := r.fromServer.inbox
	r.fromServer.refused = false
	if total > in.End-in.Scanned {
		return desynchronised("an error of %d bytes", total)
	}
	if err := r.sendToClient(); err != nil {
		return err
	}
	in.Scanned += total
	in.Sent()
	if r.fromServer.failed {
		return nil
	}
	message := pgwire.Error(stateInsufficientResources, noRoom)
	if _, err := r.client.Write(message); err != nil {
		r.fromServer.failed = true
		return engine.LeftSilently(err)
	}
	r.session.Count(len(message), 0)
	return nil
}
