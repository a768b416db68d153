package audit

// LateEnd holds the end that a host delivered of a session whose end was in the log already, because the host
// had been given up for lost.
type LateEnd struct {
	UserMeta
	SessionMeta
	ServerMeta
	Original []byte // the event as it was delivered
}

// Type implements Event.
func (*LateEnd) Type() string { return "audit.late_end" }

// Code implements Event.
func (*LateEnd) Code() string { return "SAU01W" }

func (v *LateEnd) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.SessionMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	e.text("original", string(v.Original))
}
