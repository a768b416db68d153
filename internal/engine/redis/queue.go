package redis

import "time"

// request is a command that was sent on and is not answered yet.
type request struct {
	role    role
	own     bool        // not the client's: its reply is not passed on
	to      *node       // that is to answer it, if it is ours
	whole   *wholeReply // ours, and where all of its reply is kept
	expect  int         // of subscriptions: answers that are to come; -1 if that depends on what is subscribed
	names   byte        // of subscriptions
	proto   byte        // of HELLO: the version asked for
	masked  bool        // it has secrets, which the server may repeat in an error
	sent    []byte      // in a cluster: what may have to be sent again
	event   int64       // index of its record
	command int         // which of the commands in that, counted from 1; 0 if it is alone there
	notable bool        // it concerns the server
	began   time.Time   // when it was recorded
	answer  chan string

	redirected int // how often it was sent again
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

// pushFront puts a request before all others.
func (q *queue) pushFront(r request) {
	if q.head == 0 {
		q.items = append([]request{{}}, q.items...)
		q.head = 1
	}
	q.head--
	q.items[q.head] = r
}

// first returns the request that is answered next, or nil. It is valid until the next push or pop.
func (q *queue) first() *request {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.head]
}

func (q *queue) pop() {
	q.items[q.head] = request{}
	if q.head++; q.head == len(q.items) {
		if q.items, q.head = q.items[:0], 0; cap(q.items) > keptRequests {
			q.items = nil
		}
	}
}

// waiting returns the requests that are left.
func (q *queue) waiting() []request { return q.items[q.head:] }
