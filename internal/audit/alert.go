package audit

// JoinAlert says that so many joins failed within a minute that somebody may be trying tokens.
type JoinAlert struct {
	Failures int
	LastAddr string // where the last one came from
}

// Type implements Event.
func (*JoinAlert) Type() string { return "alert.join_failures" }

// Code implements Event.
func (*JoinAlert) Code() string { return "SAL00W" }

func (v *JoinAlert) appendFields(e *encoder) {
	e.integer("failures", int64(v.Failures))
	e.text("addr.remote", v.LastAddr)
}
