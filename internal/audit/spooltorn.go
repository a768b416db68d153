package audit

// SpoolTorn says that an agent's spool held bytes that are no complete record and were left out.
type SpoolTorn struct {
	ServerMeta
	Stream string // process-start id
	File   string
	Offset int64
	Lost   int64 // records known to be missing before the next one; 0 if only the end was torn
	Reason string
}

// Type implements Event.
func (*SpoolTorn) Type() string { return "audit.spool.torn" }

// Code implements Event.
func (*SpoolTorn) Code() string { return "SAU00W" }

func (v *SpoolTorn) appendFields(e *encoder) {
	v.ServerMeta.appendTo(e)
	e.text("stream", v.Stream)
	e.text("file", v.File)
	e.integer("offset", v.Offset)
	e.number("lost", v.Lost)
	e.text("reason", v.Reason)
}
