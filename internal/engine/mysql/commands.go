package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// What becomes of a command that is not sent on as it is.
var (
	errReplaced = errors.New("another command was sent in its place")
	errAnswered = errors.New("it was answered here")
)

var errArgument = errors.New("a command whose argument has a wrong length")

// command reads, records and notes one command of the client, which is sent on afterwards.
func (r *relay) command(command mysqlwire.Command, body []byte) error {
	switch command {
	case mysqlwire.ComQuit:
		return errGoodbye
	case mysqlwire.ComQuery:
		return r.runText(body)
	case mysqlwire.ComPing:
		if r.verbose {
			return r.performNamed(command, "ping", nil)
		}
		r.push(request{command: command})
		return nil
	case mysqlwire.ComInitDB:
		r.fromClient.settling = true
		name := body[:min(len(body), maxName*utf8.UTFMax+1)] // more is the name of none
		return r.perform(request{command: command, name: string(name)}, &audit.MySQLSchema{Command: audit.SchemaUse, Name: body})
	case mysqlwire.ComCreateDB:
		return r.perform(request{command: command}, &audit.MySQLSchema{Command: audit.SchemaCreate, Name: body})
	case mysqlwire.ComDropDB:
		return r.perform(request{command: command}, &audit.MySQLSchema{Command: audit.SchemaDrop, Name: body})
	case mysqlwire.ComStmtPrepare, mysqlwire.ComStmtExecute, mysqlwire.ComStmtBulkExecute, mysqlwire.ComStmtLongData,
		mysqlwire.ComStmtClose, mysqlwire.ComStmtReset, mysqlwire.ComStmtFetch:
		return r.statementCommand(command, body)
	case mysqlwire.ComFieldList:
		return r.performNamed(command, "field_list", body)
	case mysqlwire.ComStatistics:
		return r.performNamed(command, "statistics", nil)
	case mysqlwire.ComProcessInfo:
		return r.performNamed(command, "process_info", nil)
	case mysqlwire.ComSetOption:
		return r.setOption(command, body)
	case mysqlwire.ComResetConnection: // behind which numbers of statements may be used anew
		r.fromClient.settling = true
		return r.performNamed(command, "reset_connection", nil)
	case mysqlwire.ComShutdown:
		return r.perform(request{command: command}, &audit.MySQLShutDown{})
	case mysqlwire.ComDebug:
		return r.perform(request{command: command}, &audit.MySQLDebug{})
	case mysqlwire.ComRefresh:
		return r.refresh(command, body)
	case mysqlwire.ComProcessKill:
		return r.processKill(body)
	case mysqlwire.ComChangeUser:
		return r.refuseCommand(command, "change_user", accountIn(body), "changing the account within a connection is not possible through this system; connect again with the other account")
	default:
		return r.refuseUnknown(command)
	}
}

// perform records a command that the database will execute and notes that its answer is due.
func (r *relay) perform(q request, event audit.SessionEvent) error {
	if err := r.record(&q, event); err != nil {
		return err
	}
	r.push(q)
	return nil
}

func (r *relay) record(q *request, event audit.SessionEvent) (err error) {
	q.began, q.recorded = r.engine.cfg.Now(), true
	q.event, err = r.session.Record(r.ctx, event)
	return err
}

func (r *relay) performNamed(command mysqlwire.Command, name string, argument []byte) error {
	return r.perform(request{command: command}, &audit.MySQLCommand{Command: name, Argument: argument, Status: audit.Status{Success: true}})
}

// push notes that an answer is due.
func (r *relay) push(q request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests.Push(q)
	r.noteWork()
}

// runText is a statement, or several, as text.
func (r *relay) runText(text []byte) error {
	if k, ok := parseKillStatement(text); ok {
		return r.performKill(&k)
	}
	q := request{command: mysqlwire.ComQuery}
	if r.flags&mysqlwire.LocalFiles != 0 {
		q.files = filesIn(text)
		r.fromClient.asked = len(q.files) > 0
	}
	r.fromClient.settling = mayUse(text)
	r.fromClient.query = audit.DatabaseQuery{Query: text}
	return r.perform(q, &r.fromClient.query)
}

// replace sends a short command in place of the one that was read, and after those before it.
func (r *relay) replace(payload []byte) error {
	if err := r.sendToServer(); err != nil {
		return err
	}
	if err := r.writeServer(mysqlwire.AppendPacket(nil, 0, payload)); err != nil {
		return err
	}
	return errReplaced
}

func (r *relay) setOption(command mysqlwire.Command, body []byte) error {
	if len(body) != 2 {
		return errArgument
	}
	options := []string{"multi_statements_on", "multi_statements_off"}
	name := fmt.Sprint(binary.LittleEndian.Uint16(body))
	if option := int(binary.LittleEndian.Uint16(body)); option < len(options) {
		name = options[option]
	}
	return r.performNamed(command, "set_option", []byte(name))
}

// refreshNames are the bits of COM_REFRESH (the server's mysql_com.h).
var refreshNames = [8]string{"REFRESH_GRANT", "REFRESH_LOG", "REFRESH_TABLES", "REFRESH_HOSTS", "REFRESH_STATUS", "REFRESH_THREADS", "REFRESH_SLAVE", "REFRESH_MASTER"}

func (r *relay) refresh(command mysqlwire.Command, body []byte) error {
	if len(body) < 1 {
		return errArgument
	}
	text := ""
	for bit, name := range refreshNames {
		if body[0]&(1<<bit) != 0 {
			if text != "" {
				text += " "
			}
			text += name
		}
	}
	return r.perform(request{command: command}, &audit.MySQLRefresh{Subcommand: text})
}

// accountIn returns the account that a COM_CHANGE_USER names.
func accountIn(body []byte) []byte {
	for i, b := range body {
		if b == 0 {
			return body[:i]
		}
	}
	return nil
}

// refuseCommand records a command that is not sent on, and ends the session.
func (r *relay) refuseCommand(command mysqlwire.Command, name string, argument []byte, why string) error {
	refusal := endWith(errNotSupported, fault.AccessDenied, "%s", why)
	event := &audit.MySQLCommand{Command: name, Argument: argument, Status: audit.Status{Error: why, Message: why}}
	if _, err := r.session.Record(r.ctx, event); err != nil {
		return err
	}
	return refusal
}

// refused are the names of commands that no client of ours may send: those of replicas, of the server's own threads,
// and such as have no meaning any more.
var refused = map[mysqlwire.Command]string{
	mysqlwire.ComSleep: "sleep", mysqlwire.ComConnect: "connect", mysqlwire.ComTime: "time", mysqlwire.ComDelayedInsert: "delayed_insert",
	mysqlwire.ComBinlogDump: "binlog_dump", mysqlwire.ComTableDump: "table_dump", mysqlwire.ComConnectOut: "connect_out",
	mysqlwire.ComRegisterReplica: "register_slave", mysqlwire.ComDaemon: "daemon", mysqlwire.ComBinlogDumpGTID: "binlog_dump_gtid",
	mysqlwire.ComMulti: "multi",
}

func (r *relay) refuseUnknown(command mysqlwire.Command) error {
	name, known := refused[command]
	if !known {
		name = fmt.Sprintf("%#02x", byte(command))
	}
	why := fmt.Sprintf("the command %s is not possible through this system", name)
	err := r.refuseCommand(command, name, nil, why)
	if e, ok := errors.AsType[*ending](err); ok {
		e.number = errUnknownCommand
	}
	return err
}

// answer tells the client of an error in place of the database.
func (r *relay) answer(n number, format string, args ...any) error {
	e := mysqlwire.ServerError{Code: n.code, State: n.state, Message: fmt.Sprintf(format, args...)}
	return r.respond(e.Append(nil))
}

// respond answers a command in place of the database, when all answers before have been given.
func (r *relay) respond(payload []byte) error {
	if err := r.awaitAnswers(); err != nil {
		return err
	}
	message := mysqlwire.AppendPacket(nil, 1, payload)
	r.toClient.Lock()
	defer r.toClient.Unlock()
	if _, err := r.client.Write(message); err != nil {
		return engine.LeftSilently(err)
	}
	r.session.Count(len(message), 0)
	return errAnswered
}
