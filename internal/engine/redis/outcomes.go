package redis

import (
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

// maxRun is how many outcomes share an event at most.
const maxRun = 256

// outcomes records how commands ended, before the client reads it. Those of neighbours that went well become one event:
// it costs about as much as each would alone, and a pipeline's replies arrive together.
type outcomes struct {
	connection uint64 // the database's number of it, until an event has told it

	now    func() time.Time
	record func(*audit.DatabaseResult) error

	event  audit.DatabaseResult
	open   bool  // event is not recorded yet
	broken error // why something could not be recorded: nothing more may be sent to the client
}

// went notes a command that went well. flush records it.
func (o *outcomes) went(q *request, rows, bytes int64) error {
	took := o.now().Sub(q.began)
	if !o.open {
		o.open = true
		o.event = audit.DatabaseResult{
			ConnectionID: o.connection, Status: audit.Status{Success: true}, Statement: q.event, Command: q.command, Rows: rows, Bytes: bytes, Duration: took, Following: o.event.Following[:0],
		}
		return nil
	}
	o.event.Following = append(o.event.Following, audit.Outcome{Statement: q.event, Command: q.command, Rows: rows, Bytes: bytes, Duration: took})
	if len(o.event.Following) < maxRun {
		return nil
	}
	return o.flush()
}

// failed records a command that did not go well, after those before it.
func (o *outcomes) failed(q *request, failure string, bytes int64) error {
	if err := o.flush(); err != nil {
		return err
	}
	o.event = audit.DatabaseResult{
		ConnectionID: o.connection, Status: audit.Status{Error: failure}, Statement: q.event, Command: q.command, Bytes: bytes, Duration: o.now().Sub(q.began), Following: o.event.Following[:0],
	}
	o.open = true
	return o.flush()
}

// flush records what is noted.
func (o *outcomes) flush() error {
	if o.open && o.broken == nil {
		o.broken, o.connection = o.record(&o.event), 0
	}
	if o.open = false; cap(o.event.Following) > engine.KeptRequests {
		o.event.Following = nil
	}
	return o.broken
}

// recordOutcome notes how a command ended, for send to record.
func (r *relay) recordOutcome(q *request, failure string, rows, size int64) error {
	switch {
	case failure == "":
		return r.fromServer.outcomes.went(q, rows, size)
	case q.masked:
		failure = resp.Code([]byte(failure)) + " (the rest of the error is not recorded, because it may repeat a secret)"
	}
	return r.fromServer.outcomes.failed(q, failure, size)
}

func failureOf(reply *resp.Reply) string {
	if reply.Type == resp.Error || reply.Type == resp.BlobError {
		return string(reply.Text)
	}
	return ""
}

// rowsOf counts what a reply brings: elements, or one for what has none.
func rowsOf(reply *resp.Reply) int64 {
	switch reply.Type {
	case resp.Array, resp.Set, resp.Map, resp.Push:
		return reply.Count
	case resp.Error, resp.BlobError:
		return 0
	}
	if reply.Null {
		return 0
	}
	return 1
}
