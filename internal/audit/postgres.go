package audit

// PostgresParse is a Parse message: a statement is being prepared.
type PostgresParse struct {
	StatementName string
	Query         []byte
}

// Type implements Event.
func (*PostgresParse) Type() string { return "db.session.postgres.statements.parse" }

// Code implements Event.
func (*PostgresParse) Code() string { return "TPG00I" }

func (*PostgresParse) ofSession() {}

func (v *PostgresParse) appendFields(e *encoder) {
	appendText(e, "statement_name", v.StatementName)
	e.statement("query", v.Query)
}

// PostgresBind is a Bind message: values are given to a prepared statement.
type PostgresBind struct {
	StatementName string
	PortalName    string
	Query         []byte // that is bound; not kept after encoding
	Parameters    []Parameter
	Uncertain     bool // another text may have been bound
}

// Type implements Event.
func (*PostgresBind) Type() string { return "db.session.postgres.statements.bind" }

// Code implements Event.
func (*PostgresBind) Code() string { return "TPG01I" }

func (*PostgresBind) ofSession() {}

func (v *PostgresBind) appendFields(e *encoder) {
	appendText(e, "statement_name", v.StatementName)
	appendText(e, "portal_name", v.PortalName)
	e.parameters("parameters", v.Parameters)
	if len(v.Query) > 0 {
		e.statement("query", v.Query)
	}
	e.flag("query_uncertain", v.Uncertain)
}

// PostgresExecute is an Execute message: a portal is being run.
type PostgresExecute struct {
	PortalName string
}

// Type implements Event.
func (*PostgresExecute) Type() string { return "db.session.postgres.statements.execute" }

// Code implements Event.
func (*PostgresExecute) Code() string { return "TPG02I" }

func (*PostgresExecute) ofSession() {}

func (v *PostgresExecute) appendFields(e *encoder) { appendText(e, "portal_name", v.PortalName) }

// PostgresClose is a Close message for a prepared statement or, with Portal set, for a portal.
type PostgresClose struct {
	Portal bool
	Name   string
}

// Type implements Event.
func (*PostgresClose) Type() string { return "db.session.postgres.statements.close" }

// Code implements Event.
func (*PostgresClose) Code() string { return "TPG03I" }

func (*PostgresClose) ofSession() {}

func (v *PostgresClose) appendFields(e *encoder) {
	key := "statement_name"
	if v.Portal {
		key = "portal_name"
	}
	appendText(e, key, v.Name)
}

// PostgresFunction is a FunctionCall message.
type PostgresFunction struct {
	OID  uint32
	Args []Parameter
}

// Type implements Event.
func (*PostgresFunction) Type() string { return "db.session.postgres.function" }

// Code implements Event.
func (*PostgresFunction) Code() string { return "TPG04I" }

func (*PostgresFunction) ofSession() {}

func (v *PostgresFunction) appendFields(e *encoder) {
	e.integer("function_oid", int64(v.OID))
	e.parameters("function_args", v.Args)
}

// PostgresCancel is a CancelRequest for the session's running statement, passed on if it succeeded.
type PostgresCancel struct {
	ConnectionMeta // where the request came from
	Status
	PID uint32
}

// Type implements Event.
func (*PostgresCancel) Type() string { return "db.session.postgres.cancel" }

// Code implements Event.
func (v *PostgresCancel) Code() string { return v.code("SPG00I", "SPG00W") }

func (*PostgresCancel) ofSession() {}

func (v *PostgresCancel) appendFields(e *encoder) {
	v.ConnectionMeta.appendTo(e)
	e.number("postgres_pid", int64(v.PID))
	v.Status.appendTo(e)
}
