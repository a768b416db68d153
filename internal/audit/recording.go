package audit

// SessionUpload says that a session's recording is complete and stored. It sorts last in its session.
type SessionUpload struct {
	SessionMeta
	URL string
}

// Type implements Event.
func (*SessionUpload) Type() string { return "session.upload" }

// Code implements Event.
func (*SessionUpload) Code() string { return "T2005I" }

func (*SessionUpload) index() int64 { return MaxIndex }

func (v *SessionUpload) appendFields(e *encoder) {
	v.SessionMeta.appendTo(e)
	e.text("url", v.URL)
}

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
