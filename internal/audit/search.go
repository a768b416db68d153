package audit

import "time"

// Search says that UserMeta.User searched the audit log, and for what. What is empty did not restrict. It is no event of
// the session that was looked for, or each look at a session would add to what there is to see of it.
type Search struct {
	UserMeta
	From, To  time.Time
	Types     []string
	OfUser    string // whose events were looked for
	OfSession string // the id of the session that was looked for
}

// Type implements Event.
func (*Search) Type() string { return "audit.search" }

// Code implements Event.
func (*Search) Code() string { return "SAU02I" }

func (v *Search) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	e.time("from", v.From)
	e.time("to", v.To)
	e.texts("types", v.Types)
	e.text("of_user", v.OfUser)
	e.text("of_session", v.OfSession)
}
