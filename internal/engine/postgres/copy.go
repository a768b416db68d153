package postgres

import (
	"errors"

	"sallyport/internal/fault"
)

// In COPY mode the database ignores Syncs. A client may send them, and all of its data, before it knows that the
// mode has begun; and if the COPY fails, whether such a Sync is answered depends on how far the database had read.

// sync ends what an error makes the database skip.
func (r *relay) sync() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.segment++
	r.skipping = false
	if last := r.requests.Last(); r.copyingIn && last != nil && last.optional {
		last.more++
		return
	}
	defer r.noteWork()
	r.requests.Push(request{kind: feSync, optional: r.copyingIn, extended: r.copyingIn && r.fromServer.current.kind == feExecute})
}

// endCopy notes where the client ended a COPY, and how much it has sent: Syncs before that may stay without an
// answer.
func (r *relay) endCopy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := r.copied.Swap(0)
	r.copyingIn = false
	if r.unanswered() > 0 && !r.skipping {
		r.requests.Push(request{kind: feCopyDone, copied: copied})
		r.fromClient.copyEnded = true
	}
	r.noteWork()
}

// beginCopyIn notes that the database ignores Syncs up to the end of the COPY. It makes one request of all of
// them.
func (r *relay) beginCopyIn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copyingIn = !r.requests.makeSyncsOptional(r.fromServer.current.kind == feExecute)
	r.noteWork()
	r.changed.Broadcast() // there may be room
}

// copiedIn returns how much the client has sent for the COPY that ends.
func (r *relay) copiedIn() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.requests.Waiting()
	for i := range waiting {
		if waiting[i].kind == feCopyDone {
			return waiting[i].copied
		}
		if waiting[i].kind != feSync {
			break
		}
	}
	return r.copied.Load()
}

// endCopyIn removes the Syncs that the database has ignored.
func (r *relay) endCopyIn() {
	r.copyingIn = false
	for q := r.requests.First(); q != nil && (q.kind == feCopyDone || q.kind == feSync && q.optional); q = r.requests.First() {
		if r.requests.Pop().kind == feCopyDone {
			return
		}
	}
}

// dropCopyEnds removes, when a request is answered, ends of a COPY that it did not begin.
func (r *relay) dropCopyEnds() {
	for q := r.requests.First(); q != nil && q.kind == feCopyDone; q = r.requests.First() {
		r.requests.Pop()
	}
}

// settleCopy is called before a message that is to be executed. Directly behind the end of a COPY whose Sync came
// before the data it is not known whether the database executes the message: if the COPY fails with the Sync
// ignored, everything up to the next Sync is skipped; if the Sync is answered, it is not. Clients send a Sync there.
func (r *relay) settleCopy() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests.unclear(r.fromServer.current.kind) {
		return &ending{fault.Wrap(fault.BadParameter, errors.New("a message behind the end of a COPY whose Sync came before the data"),
			"the client sent a statement directly behind the end of a COPY, and whether the database executes it cannot be known; send a Sync behind the end of each COPY"), stateProtocolViolation}
	}
	r.fromClient.copyEnded = false
	return nil
}
