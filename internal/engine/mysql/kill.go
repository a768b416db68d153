package mysql

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// killing says what ends with a kill.
type killing byte

const (
	killQuery      killing = 1 // what the session runs
	killConnection killing = 2
)

func (k killing) statement(number uint32) string {
	if k == killQuery {
		return fmt.Sprintf("KILL QUERY %d", number)
	}
	return fmt.Sprintf("KILL %d", number)
}

// whose says to whom sessions belong that may kill each other: those of one user at one database.
type whose struct{ user, database string }

func whoseIs(s *session.Session) whose {
	return whose{s.Identity().Name, s.Database().GetName()}
}

// secret is what other agents know a session's owner by in a request to kill: a hash of the names, and what to kill.
func (w whose) secret(how killing) []byte {
	names := binary.BigEndian.AppendUint32(nil, uint32(len(w.user)))
	sum := sha256.Sum256(append(append(names, w.user...), w.database...))
	return append(sum[:], byte(how))
}

// opens returns what a secret of this owner is to kill, or 0.
func (w whose) opens(secret []byte) killing {
	for _, how := range []killing{killQuery, killConnection} {
		if subtle.ConstantTimeCompare(w.secret(how), secret) == 1 {
			return how
		}
	}
	return 0
}

const secretSize = sha256.Size + 1

// killStatement is a statement that kills one of our numbers.
type killStatement struct {
	before, after []byte // of the number
	number        uint64
	how           killing
}

// killText is such a statement, in the forms that clients send by themselves and people type.
var killText = regexp.MustCompile(`(?i)^(\s*KILL\s+(?:(?:HARD|SOFT)\s+)?(?:(?:QUERY|CONNECTION|/\*!50000 QUERY \*/)\s+)?)([0-9]{10})(\s*;?\s*)$`)

const maxKill = 100 // bytes of it

func parseKill(text []byte) (k killStatement, ok bool) {
	if len(text) > maxKill {
		return k, false
	}
	parts := killText.FindSubmatch(text)
	if parts == nil {
		return k, false
	}
	var err error
	k.before, k.after, k.how = parts[1], parts[3], killConnection
	if k.number, err = strconv.ParseUint(string(parts[2]), 10, 64); err != nil || !isShown(k.number) {
		return k, false
	}
	if bytes.Contains(bytes.ToUpper(k.before), []byte("QUERY")) {
		k.how = killQuery
	}
	return k, true
}

// with returns the statement with the database's number in the place of ours.
func (k *killStatement) with(real uint32) []byte {
	return append(strconv.AppendUint(bytes.Clone(k.before), uint64(real), 10), k.after...)
}

// runKill is a statement that kills one of our numbers. Whether the account may do it is for the database to decide, if
// the session is one of this agent's.
func (r *relay) runKill(text []byte, k *killStatement) error {
	q := request{command: mysqlwire.ComQuery}
	if real, ok := r.engine.threads.find(k.number, whoseIs(r.session)); ok {
		translated := k.with(real)
		if err := r.perform(q, &audit.DatabaseQuery{Query: translated}); err != nil {
			return err
		}
		return r.replace(append([]byte{byte(mysqlwire.ComQuery)}, translated...))
	}
	return r.killElsewhere(q, &audit.DatabaseQuery{Query: text}, uint32(k.number), k.how)
}

// processKill is the command by which old clients end a connection.
func (r *relay) processKill(command mysqlwire.Command, body []byte) error {
	if len(body) != 4 {
		return errArgument
	}
	q, number := request{command: command}, binary.LittleEndian.Uint32(body)
	if !isShown(uint64(number)) {
		return r.perform(q, &audit.MySQLProcessKill{ProcessID: number})
	}
	if real, ok := r.engine.threads.find(uint64(number), whoseIs(r.session)); ok {
		if err := r.perform(q, &audit.MySQLProcessKill{ProcessID: real}); err != nil {
			return err
		}
		return r.replace(binary.LittleEndian.AppendUint32([]byte{byte(command)}, real))
	}
	return r.killElsewhere(q, &audit.MySQLProcessKill{ProcessID: number}, number, killConnection)
}

// killElsewhere has another agent kill its session, and answers for it. What no agent knows the database gets as it is:
// it may be a number of its own.
func (r *relay) killElsewhere(q request, event audit.SessionEvent, shown uint32, how killing) error {
	if err := r.record(&q, event); err != nil {
		return err
	}
	if err := r.sendToServer(); err != nil { // what came before is not to wait
		return err
	}
	found, err := r.engine.killFor(r.ctx, r.session, shown, how)
	if !found {
		r.push(q)
		return nil
	}
	if err := r.awaitAnswers(); err != nil {
		return err
	}
	if err != nil {
		e := errorOfKill(err)
		if recordErr := r.recordResult(&q, &audit.DatabaseResult{Status: audit.Status{Error: e.Error()}, SQLState: e.State}); recordErr != nil {
			return recordErr
		}
		return r.respond(e.Append(nil))
	}
	if err := r.recordResult(&q, &audit.DatabaseResult{Status: audit.Status{Success: true}}); err != nil {
		return err
	}
	return r.respond(mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit))
}

// kill ends what the session does, over a connection of its own to the database.
func (r *relay) kill(ctx context.Context, how killing) error {
	b, err := r.again(ctx)
	if err != nil {
		return err
	}
	defer b.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })()
	statement := append([]byte{byte(mysqlwire.ComQuery)}, how.statement(r.number)...)
	if _, err := b.conn.Write(mysqlwire.AppendPacket(nil, 0, statement)); err != nil {
		return err
	}
	payload, _, err := mysqlwire.ReadPacket(b.conn, loginPacket)
	if err != nil || len(payload) == 0 || payload[0] != mysqlwire.HeaderError {
		return err
	}
	refused, err := mysqlwire.ParseError(payload)
	if err != nil {
		return err
	}
	return &refused
}

// stopDatabase ends what the database does for a session that is over: it would not notice.
func (r *relay) stopDatabase() {
	r.session.Abort()
	ctx, cancel := context.WithTimeout(r.lasting, goodbyeTime)
	defer cancel()
	err := r.kill(ctx, killConnection)
	if err != nil && !isGone(err) && !isKilled(err) { // else it is gone, and the statement with it
		r.engine.cfg.Logger.Warn("a statement may go on after its session", "sid", r.session.ID(), "error", err)
	}
}
