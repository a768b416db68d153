package mysql

import (
	"time"

	"sallyport/internal/mysqlwire"
)

// request is a command of the client whose answer is due.
type request struct {
	command   mysqlwire.Command
	recorded  bool       // event is the index of its event
	cursor    bool       // an execution whose rows are fetched apart
	files     []string   // of the client, for which the statement asks
	sent      bool       // the database wanted one of them
	statement *statement // of a preparation
	name      string     // of COM_INIT_DB
	event     int64
	began     time.Time
}
