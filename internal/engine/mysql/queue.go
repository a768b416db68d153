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

// queue holds the requests in the order in which they are answered.
type queue struct {
	items []request
	head  int
}

const keptRequests = 64 // room that an idle session may keep

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(r request) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, r)
}

func (q *queue) pop() request {
	r := q.items[q.head]
	q.items[q.head] = request{}
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > keptRequests {
			q.items = nil
		}
	}
	return r
}

// takeAll returns all requests and forgets them.
func (q *queue) takeAll() []request {
	all := append([]request(nil), q.items[q.head:]...)
	*q = queue{}
	return all
}
