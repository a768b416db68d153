package postgres

import (
	"time"

	"sallyport/internal/engine"
)

// request is a message of the client whose answer is due.
type request struct {
	kind      byte       // the message's type; 0 for none
	optional  bool       // a Sync that the database may have ignored during COPY
	more      int        // how many more such Syncs stand behind it
	extended  bool       // the COPY is one of the extended protocol
	ofPortal  bool       // a Close is of a portal
	told      bool       // it has had a result
	over      bool       // nothing but a ReadyForQuery is to come
	touches   touches    // of Query and Execute: what it may redefine
	change    *change    // of the same: what it does, where that is understood
	statement *statement // of Parse, Describe, Bind and Execute
	portal    *portal    // of Bind
	name      string     // of Close, and of a Parse that was refused here
	copied    int64      // of CopyDone: bytes of the COPY
	id        int64      // of what Parse, Bind and Close define, and of what touches names
	event     int64      // index of the event of Query, Execute and FunctionCall
	began     time.Time  // of Query, Execute and FunctionCall
}

// runs reports whether the request makes the database execute something.
func (q *request) runs() bool {
	return q.kind == feQuery || q.kind == feExecute || q.kind == feFunctionCall
}

// queue holds the requests in the order in which they are answered.
type queue struct{ engine.Queue[request] }

// makeSyncsOptional makes the Syncs up to the end of a COPY one optional request, and reports whether that end
// is there.
func (q *queue) makeSyncsOptional(extended bool) (ended bool) {
	waiting := q.Waiting()
	kept := 0
	for i := range waiting {
		if waiting[i].kind == feCopyDone {
			ended = true
		}
		if !ended && waiting[i].kind == feSync {
			waiting[i].optional, waiting[i].extended = true, extended
			if kept > 0 && waiting[kept-1].optional {
				waiting[kept-1].more++
				continue
			}
		}
		waiting[kept] = waiting[i]
		kept++
	}
	q.Truncate(kept)
	return ended
}

// unclear reports whether it depends on a COPY of the extended protocol whether the database executes what comes
// behind all requests: a Sync stands between its Execute and its end, and none behind that. Current is the kind of
// the request before them, or 0 when that has been answered.
func (q *queue) unclear(current byte) bool {
	executes, synced, ended := current == feExecute, false, false
	for _, r := range q.Waiting() {
		switch {
		case r.runs():
			executes, synced, ended = r.kind == feExecute, false, false
		case r.kind == feCopyDone:
			ended = synced
		case r.kind == feSync:
			synced = (executes || r.extended) && !ended
			ended = false
		}
	}
	return ended
}

// due returns how many requests are sure to be answered; after guesses about Syncs, only those that run
// something count.
func (q *queue) due(guessed bool) (n int) {
	for _, r := range q.Waiting() {
		if r.kind != feCopyDone && !r.optional && (r.kind != feSync || !guessed) {
			n++
		}
	}
	return n
}
