package audit

import (
	"encoding/hex"
	"strconv"
	"time"
)

// DatabaseQuery is a statement about to be sent to the database. Query is not kept after encoding.
type DatabaseQuery struct {
	Query         []byte
	Parameters    []Parameter
	StatementName string // of the prepared statement, if it has a name
	PortalName    string
	StatementID   uint32 // of a prepared statement that is known by number
	Uncertain     bool   // SQL may have given the name another meaning: Query is the last known text, or empty

	// Database is the logical database that it is for, where a session may use several; empty for the session's.
	Database string

	// Commands is how many commands Query has, one on each line, that came together; 0 for one statement.
	Commands int

	Script []byte // text of the script that the statement names
	Masked bool   // secrets in the statement are not recorded
}

func (v *DatabaseQuery) logicalDatabase() string { return v.Database }

// Type implements Event.
func (*DatabaseQuery) Type() string { return "db.session.query" }

// Code implements Event.
func (*DatabaseQuery) Code() string { return "TDB02I" }

func (*DatabaseQuery) ofSession() {}

func (v *DatabaseQuery) appendFields(e *encoder) {
	v.appendStatement(e)
	e.boolean("success", true)
}

func (v *DatabaseQuery) appendStatement(e *encoder) {
	e.statement("db_query", v.Query)
	e.number("commands", int64(v.Commands))
	e.parameters("db_query_parameters", v.Parameters)
	e.text("statement_name", v.StatementName)
	e.text("portal_name", v.PortalName)
	e.number("statement_id", int64(v.StatementID))
	e.flag("query_uncertain", v.Uncertain)
	e.flag("query_masked", v.Masked)
	if len(v.Script) > 0 {
		e.statement("script", v.Script)
	}
}

// DatabaseQueryFailed is a statement that was refused and not sent.
type DatabaseQueryFailed struct {
	DatabaseQuery
	Error   string
	Message string
	// Of a message that is too large, when Query is its beginning: its length in the protocol, and the SHA-256 of
	// its body if all of it was sent.
	MessageSize int64
	MessageHash []byte
}

// Type implements Event.
func (*DatabaseQueryFailed) Type() string { return "db.session.query.failed" }

// Code implements Event.
func (*DatabaseQueryFailed) Code() string { return "TDB02W" }

func (v *DatabaseQueryFailed) appendFields(e *encoder) {
	v.appendStatement(e)
	e.number("message_size", v.MessageSize)
	e.text("message_sha256", hex.EncodeToString(v.MessageHash))
	status := Status{Error: v.Error, Message: v.Message}
	status.appendTo(e)
}

// MalformedPacket is what the client sent where no message could be read. It ends the session.
type MalformedPacket struct {
	Payload []byte
	Error   string // what was wrong with it, where that is known; nothing of what the client sent
}

// Type implements Event.
func (*MalformedPacket) Type() string { return "db.session.malformed_packet" }

// Code implements Event.
func (*MalformedPacket) Code() string { return "TDB06I" }

func (*MalformedPacket) ofSession() {}

func (v *MalformedPacket) appendFields(e *encoder) {
	e.base64("payload", v.Payload)
	e.text("error", v.Error)
}

// The directions of a COPY.
const (
	CopyIn  = "in"  // from the client to the database
	CopyOut = "out" // from the database to the client
)

// DatabaseResult says how a statement ended.
type DatabaseResult struct {
	Status
	Statement     int64 // index of the statement's event
	Command       int   // which of its commands, counted from 1; 0 where it is not several
	Rows          int64 // affected or returned
	Bytes         int64 // of the answer, as sent to the client
	Duration      time.Duration
	SQLState      string
	CommandTag    string
	CopyDirection string // CopyIn, CopyOut or empty
	CopyBytes     int64
	PostgresPID   uint32 // printed with the session's first result
	ConnectionID  uint64 // the same in other protocols
	Database      string // as in the statement's event

	// Following are the outcomes of further statements, in the order in which they were answered. They went as well as
	// this one, and were answered together with it.
	Following []Outcome
}

// Outcome is what a result says of one more statement; see DatabaseResult.
type Outcome struct {
	Statement int64
	Command   int
	Rows      int64
	Bytes     int64
	Duration  time.Duration
}

func (v *DatabaseResult) logicalDatabase() string { return v.Database }

// Type implements Event.
func (*DatabaseResult) Type() string { return "db.session.result" }

// Code implements Event.
func (*DatabaseResult) Code() string { return "TDB10I" }

func (*DatabaseResult) ofSession() {}

func (v *DatabaseResult) appendFields(e *encoder) {
	e.integer("statement_ei", v.Statement)
	e.number("command", int64(v.Command))
	e.integer("affected_records", v.Rows)
	e.number("bytes", v.Bytes)
	e.duration("duration_us", v.Duration)
	e.text("sqlstate", v.SQLState)
	e.text("command_tag", v.CommandTag)
	e.text("copy_direction", v.CopyDirection)
	e.number("copy_bytes", v.CopyBytes)
	e.number("postgres_pid", int64(v.PostgresPID))
	e.number("db_connection_id", int64(v.ConnectionID))
	e.outcomes("following_results", v.Following)
	v.Status.appendTo(e)
}

// outcomes appends a list for each: index of the statement's event, command, rows, bytes, microseconds;
// or nothing if there are none.
func (e *encoder) outcomes(key string, values []Outcome) {
	if len(values) == 0 {
		return
	}
	e.always(key)
	for i := range values {
		e.element(i)
		v := &values[i]
		for place, n := range [...]int64{v.Statement, int64(v.Command), v.Rows, v.Bytes, v.Duration.Microseconds()} {
			e.element(place)
			e.b = strconv.AppendInt(e.b, n, 10)
		}
		e.b = append(e.b, ']')
	}
	e.b = append(e.b, ']')
}
