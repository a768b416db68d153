package eventlog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/google/uuid"

	"sallyport/internal/fault"
)

// maxWaiting bounds, in bytes, the events that wait for one that should come before them.
const maxWaiting = 8 << 20

// Session returns the events of a session in the order of their index: lines with their envelope, without
// those that only name the session. It ends after the first error.
func (l *Log) Session(ctx context.Context, sid string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := l.readSession(ctx, sid, func(line []byte) bool { return yield(line, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, fmt.Errorf("reading session %s: %w", sid, err))
		}
	}
}

// parseSID reads what a person has given as the id of a session.
func parseSID(sid string) (uuid.UUID, error) {
	id, err := uuid.Parse(sid)
	if err != nil {
		return id, fault.New(fault.BadParameter, "%q is not a session id; take the sid of an event, a UUID, as tctl audit ls shows it", sid)
	}
	return id, nil
}

var errStopped = errors.New("the reader has enough")

func (l *Log) readSession(ctx context.Context, sid string, yield func(line []byte) bool) error {
	id, err := parseSID(sid)
	if err != nil {
		return err
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	order := &sessionOrder{yield: yield}
	if err := l.eachOfSession(ctx, id, order.add); err != nil {
		return err
	}
	return order.release()
}

// sessionOrder puts the events of a session in order. They are stored in order but for a few, such as an
// end that another process wrote; after a hole the rest is taken as it comes.
type sessionOrder struct {
	yield   func(line []byte) bool
	next    int64
	waiting []entry
	size    int
}

func (o *sessionOrder) add(e entry) error {
	at, _ := slices.BinarySearchFunc(o.waiting, e.fields.Index+1, func(w entry, index int64) int { return cmp.Compare(w.fields.Index, index) })
	o.waiting = slices.Insert(o.waiting, at, e)
	o.size += len(e.line)
	for len(o.waiting) > 0 && (o.waiting[0].fields.Index <= o.next || o.size > maxWaiting) {
		if err := o.first(); err != nil {
			return err
		}
	}
	return nil
}

// first gives the first of those that wait to the reader.
func (o *sessionOrder) first() error {
	e := o.waiting[0]
	o.waiting = o.waiting[1:]
	o.size -= len(e.line)
	o.next = max(o.next, e.fields.Index+1)
	if !o.yield(e.line) {
		return errStopped
	}
	return nil
}

// release gives the reader everything that still waits.
func (o *sessionOrder) release() error {
	for len(o.waiting) > 0 {
		if err := o.first(); err != nil {
			return err
		}
	}
	return nil
}

// eachOfSession calls visit with the indexed events of a session's chain in the order of the log.
func (l *Log) eachOfSession(ctx context.Context, sid uuid.UUID, visit func(entry) error) (err error) {
	r, err := l.newReader(ctx, chunkColumns+`CROSS JOIN files f ON f.id = c.file
		WHERE c.id IN (SELECT chunk FROM keys WHERE key = ?) ORDER BY c.id`, sessionKeyOf(sid))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	text := []byte(sid.String())
	for {
		c, err := r.next()
		if err != nil || c == nil {
			return err
		}
		var stop error
		err = r.each(c, func(line []byte) bool { return stop == nil && bytes.Contains(line, text) }, func(e entry) {
			if e.fields.SID == sid && e.fields.Chained() && stop == nil {
				stop = visit(e)
			}
		})
		if err != nil || stop != nil {
			return errors.Join(err, stop)
		}
	}
}

// hasEvent reports whether a session has an event of this index among what is indexed.
func (l *Log) hasEvent(ctx context.Context, sid uuid.UUID, ei int64) (bool, error) {
	errFound := errors.New("found")
	err := l.eachOfSession(ctx, sid, func(e entry) error {
		if e.fields.Index == ei {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
