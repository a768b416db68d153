package audit

// DatabaseCheck says that an agent is about to walk the way to a database for an administrator, up to a login and no
// further. It is stored before the agent is told.
type DatabaseCheck struct {
	UserMeta
	DatabaseMeta
	ServerMeta // the agent
	CheckID    string
}

// Type implements Event.
func (*DatabaseCheck) Type() string { return "db.check" }

// Code implements Event.
func (*DatabaseCheck) Code() string { return "SDB00I" }

func (v *DatabaseCheck) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.DatabaseMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	e.text("check_id", v.CheckID)
}

// DatabaseCheckEnd says how a check went.
type DatabaseCheckEnd struct {
	UserMeta
	DatabaseMeta
	ServerMeta
	Status
	CheckID string
	Step    string // at which it failed
}

// Type implements Event.
func (*DatabaseCheckEnd) Type() string { return "db.check.end" }

// Code implements Event.
func (v *DatabaseCheckEnd) Code() string { return v.code("SDB01I", "SDB01W") }

func (v *DatabaseCheckEnd) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.DatabaseMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	e.text("check_id", v.CheckID)
	e.text("step", v.Step)
	v.Status.appendTo(e)
}
