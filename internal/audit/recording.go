package audit

// SessionRecordingAccess says that UserMeta.User read a session's recording.
type SessionRecordingAccess struct {
	UserMeta
	SessionMeta
	SessionType string // db
	Format      string
}

// Type implements Event.
func (*SessionRecordingAccess) Type() string { return "session.recording.access" }

// Code implements Event.
func (*SessionRecordingAccess) Code() string { return "T2012I" }

func (v *SessionRecordingAccess) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.SessionMeta.appendTo(e)
	e.text("session_type", v.SessionType)
	e.text("format", v.Format)
}
