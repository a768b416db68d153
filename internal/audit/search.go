package audit

import "time"

// Search says that UserMeta.User searched the audit log, and for what. What is empty did not restrict.
type Search struct {
	UserMeta
	SessionMeta // the session that was looked for
	From, To    time.Time
	Types       []string
	OfUser      string // whose events were looked for
}

// Type implements Event.
func (*Search) Type() string { return "audit.search" }

// Code implements Event.
func (*Search) Code() string { return "SAU02I" }

func (v *Search) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.SessionMeta.appendTo(e)
	e.time("from", v.From)
	e.time("to", v.To)
	e.texts("types", v.Types)
	e.text("of_user", v.OfUser)
}
