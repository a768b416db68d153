package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// killCommand is a command of a client that kills one of our numbers.
type killCommand struct {
	command       mysqlwire.Command
	before, after []byte // of the number, in a statement
	shown         uint32
	how           killing
}

// parseKill reads a command that kills one of our numbers.
func parseKill(payload []byte) (k killCommand, ok bool) {
	if len(payload) == 0 {
		return k, false
	}
	switch body := payload[1:]; mysqlwire.Command(payload[0]) {
	case mysqlwire.ComQuery:
		return parseKillStatement(body)
	case mysqlwire.ComProcessKill:
		return parseProcessKill(body)
	default:
		return k, false
	}
}

// killText is a statement that kills, in the forms that clients send by themselves and people type.
var killText = regexp.MustCompile(`(?i)^(\s*KILL\s+(?:(?:HARD|SOFT)\s+)?(?:(?:QUERY|CONNECTION|/\*!50000 QUERY \*/)\s+)?)([0-9]{10})(\s*;?\s*)$`)

const maxKill = 100 // bytes of it

func parseKillStatement(text []byte) (k killCommand, ok bool) {
	if len(text) > maxKill {
		return k, false
	}
	parts := killText.FindSubmatch(text)
	if parts == nil {
		return k, false
	}
	number, err := strconv.ParseUint(string(parts[2]), 10, 64)
	if err != nil || !isShown(number) {
		return k, false
	}
	k = killCommand{command: mysqlwire.ComQuery, before: parts[1], after: parts[3], shown: uint32(number), how: killConnection}
	if bytes.Contains(bytes.ToUpper(k.before), []byte("QUERY")) {
		k.how = killQuery
	}
	return k, true
}

// parseProcessKill reads the command by which old clients end a connection.
func parseProcessKill(body []byte) (k killCommand, ok bool) {
	if len(body) != 4 {
		return k, false
	}
	k = killCommand{command: mysqlwire.ComProcessKill, shown: binary.LittleEndian.Uint32(body), how: killConnection}
	return k, isShown(uint64(k.shown))
}

// with returns the body of the command with a number: ours, or the database's in its place.
func (k *killCommand) with(number uint32) []byte {
	if k.command == mysqlwire.ComProcessKill {
		return binary.LittleEndian.AppendUint32(nil, number)
	}
	return append(strconv.AppendUint(bytes.Clone(k.before), uint64(number), 10), k.after...)
}

// event is what is recorded of the command with a number.
func (k *killCommand) event(number uint32) audit.SessionEvent {
	if k.command == mysqlwire.ComProcessKill {
		return &audit.MySQLProcessKill{ProcessID: number}
	}
	return &audit.DatabaseQuery{Query: k.with(number)}
}

// processKill is the command by which old clients end a connection, of whatever number.
func (r *relay) processKill(body []byte) error {
	if len(body) != 4 {
		return errArgument
	}
	if k, ok := parseProcessKill(body); ok {
		return r.performKill(&k)
	}
	return r.perform(request{command: mysqlwire.ComProcessKill}, &audit.MySQLProcessKill{ProcessID: binary.LittleEndian.Uint32(body)})
}

// performKill kills one of our numbers. Whether the account may do it is for the database to decide, if the session is one
// of this agent's.
func (r *relay) performKill(k *killCommand) error {
	number, ok := r.engine.threads.numberOf(k.shown, ownerOf(r.session))
	if !ok {
		return r.killElsewhere(k)
	}
	if err := r.perform(request{command: k.command}, k.event(number)); err != nil {
		return err
	}
	return r.replace(append([]byte{byte(k.command)}, k.with(number)...))
}

// killElsewhere has another agent kill its session, and answers for it. What no agent knows the database gets as it is:
// it may be a number of its own.
func (r *relay) killElsewhere(k *killCommand) error {
	q := request{command: k.command}
	if err := r.record(&q, k.event(k.shown)); err != nil {
		return err
	}
	if err := r.sendToServer(); err != nil { // what came before is not to wait
		return err
	}
	found, err := r.engine.requestKill(r.ctx, r.session, k.shown, k.how)
	if !found {
		r.push(q)
		return nil
	}
	if err := r.awaitAnswers(); err != nil {
		return err
	}
	if err != nil {
		e := explainKill(err)
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

// explainKill puts why a session was not killed into the protocol.
func explainKill(err error) *mysqlwire.ServerError {
	if refused, ok := errors.AsType[*mysqlwire.ServerError](err); ok {
		return refused
	}
	return &mysqlwire.ServerError{Code: errUnknown.code, State: errUnknown.state, Message: fit(fault.Message(err))}
}
