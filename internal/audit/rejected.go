package audit

// SessionRejected is a session that one limit of the user's roles kept from starting.
type SessionRejected struct {
	UserMeta
	ServerMeta
	ConnectionMeta
	Reason  string
	Maximum int64
}

// Type implements Event.
func (*SessionRejected) Type() string { return "session.rejected" }

// Code implements Event.
func (*SessionRejected) Code() string { return "T1006W" }

func (v *SessionRejected) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	e.text("reason", v.Reason)
	e.number("max", v.Maximum)
}
