package postgres

import "time"

// request is a message of the client whose answer is due.
type request struct {
	kind      byte       // the message's type; 0 for none
	optional  bool       // a Sync that the database may have ignored during COPY
	ofPortal  bool       // a Close is of a portal
	told      bool       // it has had a result
	over      bool       // nothing but a ReadyForQuery is to come
	touches   touches    // of Query and Execute: what it may redefine
	change    *change    // of the same: what it does, where that is understood
	statement *statement // of Parse, Describe, Bind and Execute
	portal    *portal    // of Bind
	name      string     // of Close
	id        int64      // of what Parse, Bind and Close define, and of what touches names
	event     int64      // index of the event of Query, Execute and FunctionCall
	began     time.Time  // of Query, Execute and FunctionCall
}

// runs reports whether the request makes the database execute something.
func (q *request) runs() bool {
	return q.kind == feQuery || q.kind == feExecute || q.kind == feFunctionCall
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

// first returns the request at the head, or nil. It is valid until the next push or pop.
func (q *queue) first() *request {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.head]
}

// waiting returns all requests; valid until the next push or pop.
func (q *queue) waiting() []request { return q.items[q.head:] }

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
