package audit

// MySQLPrepare is a statement that is being prepared by COM_STMT_PREPARE.
type MySQLPrepare struct{ Query []byte }

// Type implements Event.
func (*MySQLPrepare) Type() string { return "db.session.mysql.statements.prepare" }

// Code implements Event.
func (*MySQLPrepare) Code() string { return "TMY00I" }

func (*MySQLPrepare) ofSession() {}

func (v *MySQLPrepare) appendFields(e *encoder) { e.statement("query", v.Query) }

// MySQLExecute is a COM_STMT_EXECUTE: a prepared statement is being run.
type MySQLExecute struct {
	StatementID uint32
	Parameters  []Parameter
}

// Type implements Event.
func (*MySQLExecute) Type() string { return "db.session.mysql.statements.execute" }

// Code implements Event.
func (*MySQLExecute) Code() string { return "TMY01I" }

func (*MySQLExecute) ofSession() {}

func (v *MySQLExecute) appendFields(e *encoder) {
	e.integer("statement_id", int64(v.StatementID))
	e.parameters("parameters", v.Parameters)
}

// MySQLLongData is a COM_STMT_SEND_LONG_DATA: a piece of a value, before the execution that uses it.
type MySQLLongData struct {
	StatementID uint32
	ParameterID uint16
	Data        []byte
}

// Type implements Event.
func (*MySQLLongData) Type() string { return "db.session.mysql.statements.send_long_data" }

// Code implements Event.
func (*MySQLLongData) Code() string { return "TMY02I" }

func (*MySQLLongData) ofSession() {}

func (v *MySQLLongData) appendFields(e *encoder) {
	e.integer("statement_id", int64(v.StatementID))
	e.integer("parameter_id", int64(v.ParameterID))
	e.integer("data_size", int64(len(v.Data)))
	e.base64("data", v.Data)
}

// MySQLClose is a COM_STMT_CLOSE.
type MySQLClose struct{ StatementID uint32 }

// Type implements Event.
func (*MySQLClose) Type() string { return "db.session.mysql.statements.close" }

// Code implements Event.
func (*MySQLClose) Code() string { return "TMY03I" }

func (*MySQLClose) ofSession() {}

func (v *MySQLClose) appendFields(e *encoder) { e.integer("statement_id", int64(v.StatementID)) }

// MySQLReset is a COM_STMT_RESET: pieces of values are forgotten and an open cursor is closed.
type MySQLReset struct{ StatementID uint32 }

// Type implements Event.
func (*MySQLReset) Type() string { return "db.session.mysql.statements.reset" }

// Code implements Event.
func (*MySQLReset) Code() string { return "TMY04I" }

func (*MySQLReset) ofSession() {}

func (v *MySQLReset) appendFields(e *encoder) { e.integer("statement_id", int64(v.StatementID)) }

// MySQLFetch is a COM_STMT_FETCH: rows are read from a cursor.
type MySQLFetch struct {
	StatementID uint32
	Rows        uint32 // that are asked for
}

// Type implements Event.
func (*MySQLFetch) Type() string { return "db.session.mysql.statements.fetch" }

// Code implements Event.
func (*MySQLFetch) Code() string { return "TMY05I" }

func (*MySQLFetch) ofSession() {}

func (v *MySQLFetch) appendFields(e *encoder) {
	e.integer("statement_id", int64(v.StatementID))
	e.integer("rows_count", int64(v.Rows))
}

// MySQLBulkExecute is MariaDB's COM_STMT_BULK_EXECUTE: a prepared statement is being run with many rows of values.
type MySQLBulkExecute struct {
	StatementID uint32
	Query       []byte
	Parameters  []Parameter // of all rows, one after the other
	Rows        int
}

// Type implements Event.
func (*MySQLBulkExecute) Type() string { return "db.session.mysql.statements.bulk_execute" }

// Code implements Event.
func (*MySQLBulkExecute) Code() string { return "TMY06I" }

func (*MySQLBulkExecute) ofSession() {}

func (v *MySQLBulkExecute) appendFields(e *encoder) {
	e.integer("statement_id", int64(v.StatementID))
	e.statement("query", v.Query)
	e.parameters("parameters", v.Parameters)
	e.integer("rows_count", int64(v.Rows))
}

// SchemaCommand is what is done with a logical database by a command of its own.
type SchemaCommand int

// The commands COM_INIT_DB, COM_CREATE_DB and COM_DROP_DB.
const (
	SchemaUse SchemaCommand = iota
	SchemaCreate
	SchemaDrop
)

// MySQLSchema is a command that has a logical database as its argument.
type MySQLSchema struct {
	Command SchemaCommand
	Name    []byte
}

// Type implements Event.
func (v *MySQLSchema) Type() string {
	return [...]string{SchemaUse: "db.session.mysql.init_db", SchemaCreate: "db.session.mysql.create_db", SchemaDrop: "db.session.mysql.drop_db"}[v.Command]
}

// Code implements Event.
func (v *MySQLSchema) Code() string {
	return [...]string{SchemaUse: "TMY07I", SchemaCreate: "TMY08I", SchemaDrop: "TMY09I"}[v.Command]
}

func (*MySQLSchema) ofSession() {}

func (v *MySQLSchema) appendFields(e *encoder) { appendText(e, "schema_name", v.Name) }

// MySQLShutDown is a COM_SHUTDOWN.
type MySQLShutDown struct{}

// Type implements Event.
func (*MySQLShutDown) Type() string { return "db.session.mysql.shut_down" }

// Code implements Event.
func (*MySQLShutDown) Code() string { return "TMY10I" }

func (*MySQLShutDown) ofSession() {}

func (*MySQLShutDown) appendFields(*encoder) {}

// MySQLProcessKill is a COM_PROCESS_KILL or, with the address that it came from, a kill over another connection of the
// user, which is then recorded in the session that it ends or whose statement.
type MySQLProcessKill struct {
	ConnectionMeta
	ProcessID uint32
}

// Type implements Event.
func (*MySQLProcessKill) Type() string { return "db.session.mysql.process_kill" }

// Code implements Event.
func (*MySQLProcessKill) Code() string { return "TMY11I" }

func (*MySQLProcessKill) ofSession() {}

func (v *MySQLProcessKill) appendFields(e *encoder) {
	v.ConnectionMeta.appendTo(e)
	e.integer("process_id", int64(v.ProcessID))
}

// MySQLDebug is a COM_DEBUG: the server writes about itself into its log.
type MySQLDebug struct{}

// Type implements Event.
func (*MySQLDebug) Type() string { return "db.session.mysql.debug" }

// Code implements Event.
func (*MySQLDebug) Code() string { return "TMY12I" }

func (*MySQLDebug) ofSession() {}

func (*MySQLDebug) appendFields(*encoder) {}

// MySQLRefresh is a COM_REFRESH.
type MySQLRefresh struct{ Subcommand string }

// Type implements Event.
func (*MySQLRefresh) Type() string { return "db.session.mysql.refresh" }

// Code implements Event.
func (*MySQLRefresh) Code() string { return "TMY13I" }

func (*MySQLRefresh) ofSession() {}

func (v *MySQLRefresh) appendFields(e *encoder) { appendText(e, "subcommand", v.Subcommand) }

// MySQLCommand is any other command than those above, passed on if it succeeded and refused otherwise.
type MySQLCommand struct {
	Command  string // such as "field_list"; "0x1d" for one without a name
	Argument []byte // may be empty
	Status
}

// Type implements Event.
func (*MySQLCommand) Type() string { return "db.session.mysql.command" }

// Code implements Event.
func (v *MySQLCommand) Code() string { return v.code("SMY00I", "SMY00W") }

func (*MySQLCommand) ofSession() {}

func (v *MySQLCommand) appendFields(e *encoder) {
	e.text("command", v.Command)
	if len(v.Argument) > 0 {
		e.statement("argument", v.Argument)
	}
	v.Status.appendTo(e)
}
