package audit

import "time"

// The values of DatabaseSessionStart.StartGate: what the event had to reach before the database was dialled.
const (
	StartGateLocal = "local" // the agent's disk
	StartGateAuth  = "auth"  // the audit log
)

// DatabaseSessionStart is the first event of a session, stored before the database is contacted. One
// without success is a refusal and the session's only event.
type DatabaseSessionStart struct {
	ServerMeta
	ConnectionMeta
	Status
	StartGate string
	UserAgent string // what the client says it is
	// Parameters of the database's session that the client asked for when it logged in.
	Parameters map[string]string
}

// Type implements Event.
func (*DatabaseSessionStart) Type() string { return "db.session.start" }

// Code implements Event.
func (v *DatabaseSessionStart) Code() string { return v.code("TDB00I", "TDB00W") }

func (*DatabaseSessionStart) ofSession() {}

func (v *DatabaseSessionStart) appendFields(e *encoder) {
	v.ServerMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	e.text("user_agent", v.UserAgent)
	e.labels("startup_parameters", v.Parameters)
	e.text("start_gate", v.StartGate)
	v.Status.appendTo(e)
}

// ReasonLost is the reason of an end that recovery wrote for a session whose process died.
const ReasonLost = "lost"

// DatabaseSessionEnd is the last event of a session that was allowed.
type DatabaseSessionEnd struct {
	ServerMeta
	Start, Stop   time.Time
	Reason        string // why it ended
	Error         string // of the dial, the login or the relay
	BytesSent     int64  // to the client
	BytesReceived int64  // from the client
	Statements    int64
	PostgresPID   uint32
	ConnectionID  uint64 // the database's own number of the connection, in other protocols
}

// Type implements Event.
func (*DatabaseSessionEnd) Type() string { return "db.session.end" }

// Code implements Event.
func (*DatabaseSessionEnd) Code() string { return "TDB01I" }

func (*DatabaseSessionEnd) ofSession() {}

func (v *DatabaseSessionEnd) appendFields(e *encoder) {
	v.ServerMeta.appendTo(e)
	e.time("session_start", v.Start)
	e.time("session_stop", v.Stop)
	e.text("reason", v.Reason)
	e.text("error", v.Error)
	e.number("bytes_sent", v.BytesSent)
	e.number("bytes_received", v.BytesReceived)
	e.number("statements", v.Statements)
	e.number("postgres_pid", int64(v.PostgresPID))
	e.number("db_connection_id", int64(v.ConnectionID))
}
