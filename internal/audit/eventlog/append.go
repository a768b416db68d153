package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/sqlitedb"
)

// Batch is some events of one stream, in order and without holes, one line each without its end.
type Batch struct {
	Host     string // who delivers, as proven by its certificate; see identity.IsHostID
	Stream   string // run of the emitter; a UUID
	FirstSeq uint64
	Lines    [][]byte

	// Lost admits that so many events directly before FirstSeq can never be delivered.
	Lost uint64

	// Accept refuses events that the host may not deliver. Nil accepts all.
	Accept func(*audit.Fields) error
}

// Append stores a batch exactly once, whatever part of it was delivered before, and returns when it
// survives the loss of power, with the number of events that were new. A batch is stored whole or not at all.
// A second end of a session stays out of it: an event that holds it stands in its place.
// Faults: BadParameter for what is not an event, AccessDenied for an event of another host or of its session and
// what Accept says, CompareFailed for a hole in the stream or for an event that would take the place of another in
// its session.
func (l *Log) Append(ctx context.Context, batch Batch) (stored int, err error) {
	defer func() { err = sqlitedb.Explain(err) }()
	if !identity.IsHostID(batch.Host) || uuid.Validate(batch.Stream) != nil || len(batch.Stream) != 36 {
		return 0, fault.New(fault.BadParameter, "the host and the stream of audit events must have ids")
	}
	events := make([]audit.Fields, len(batch.Lines))
	for i, line := range batch.Lines {
		if events[i], err = audit.Parse(line); err != nil {
			return 0, fault.Wrap(fault.BadParameter, err, "audit event %d of stream %s is malformed", batch.FirstSeq+uint64(i), batch.Stream)
		}
		if events[i].Index < 0 || events[i].Chained() && events[i].Index >= audit.MaxIndex {
			return 0, fault.New(fault.BadParameter, "audit event %d of stream %s has an index that no event of a host has", batch.FirstSeq+uint64(i), batch.Stream)
		}
		if server := events[i].Server; server != "" && server != batch.Host {
			return 0, fault.New(fault.AccessDenied, "audit event %d of stream %s is of another host; a host delivers events of its own only", batch.FirstSeq+uint64(i), batch.Stream)
		}
		if batch.Accept != nil {
			if err := batch.Accept(&events[i]); err != nil {
				return 0, fmt.Errorf("audit event %d of stream %s: %w", batch.FirstSeq+uint64(i), batch.Stream, err)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return 0, err
	}
	key := streamKey{batch.Host, batch.Stream}
	next, err := l.streamNext(ctx, key)
	if err != nil {
		return 0, err
	}
	if batch.FirstSeq > next+batch.Lost {
		return 0, fault.New(fault.CompareFailed,
			"audit event %d of stream %s cannot be stored before event %d; deliver the stream from there", batch.FirstSeq, batch.Stream, next)
	}
	if batch.FirstSeq < next {
		known := min(next-batch.FirstSeq, uint64(len(events)))
		events = events[known:]
		batch.FirstSeq += known
	}
	if len(events) > 0 {
		if err := l.store(ctx, batch, events); err != nil {
			return 0, err
		}
		l.streams[key] = batch.FirstSeq + uint64(len(events))
	}
	// What was delivered before may still be on its way to the disk.
	return len(events), l.sync(ctx)
}

// Emit stores an event of the auth server itself and returns when it survives the loss of power.
func (l *Log) Emit(ctx context.Context, event audit.Event) error {
	line, err := l.config.Encoder.Append(nil, event, l.config.Now())
	if err != nil {
		return err
	}
	return l.emit(ctx, line, func() (bool, error) { return true, nil })
}

// emit stores a line of the auth server itself, unless it is not wanted any more once nothing else can be
// stored before it.
func (l *Log) emit(ctx context.Context, line []byte, wanted func() (bool, error)) error {
	fields, err := audit.Parse(line)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return err
	}
	if want, err := wanted(); err != nil || !want {
		return err
	}
	batch := Batch{Host: l.config.HostID, Stream: l.stream, FirstSeq: l.own}
	if err := l.store(ctx, batch, []audit.Fields{fields}); err != nil {
		return err
	}
	l.own++
	l.streams[streamKey{batch.Host, batch.Stream}] = l.own
	return l.sync(ctx)
}

// store writes new events to the file. Called with mu held.
func (l *Log) store(ctx context.Context, batch Batch, events []audit.Fields) error {
	now := l.config.Now()
	if err := l.rotate(now); err != nil {
		return l.fail(err)
	}
	moved := make(map[*sessionAt]sessionAt)
	l.buffer = l.buffer[:0]
	rows := len(l.rows)
	shared := tail(now, batch.Host, batch.Stream)
	for i := range events {
		f := &events[i]
		if err := l.place(ctx, f, batch.Host, moved); err != nil {
			l.undo(rows, moved)
			return err
		}
		index, seq, start := l.next+int64(i), batch.FirstSeq+uint64(i), len(l.buffer)
		l.buffer = appendLine(l.buffer, f.Raw, index, shared, seq)
		l.rows = append(l.rows, newRow(f, &Envelope{Index: index, Host: batch.Host, Stream: batch.Stream, Seq: seq},
			span{l.name, l.size + int64(start), len(l.buffer) - start}))
	}
	if _, err := l.file.Write(l.buffer); err != nil {
		l.undo(rows, moved)
		if cut := l.file.Truncate(l.size); cut != nil {
			return l.fail(errors.Join(err, cut))
		}
		return refusal(err)
	}
	l.size += int64(len(l.buffer))
	l.next += int64(len(events))
	if cap(l.buffer) > 4<<20 { // after a very large statement
		l.buffer = nil
	}
	return nil
}

// place makes sure that an event's place in its session's chain is free, and that the session is of the host
// that delivers it. The sessions it changes are put into moved as they were before. Called with mu held.
func (l *Log) place(ctx context.Context, f *audit.Fields, host string, moved map[*sessionAt]sessionAt) error {
	if f.SID == uuid.Nil {
		return nil
	}
	session, err := l.sessionOf(ctx, f.SID)
	if err != nil {
		return err
	}
	if host != l.config.HostID && session.host != "" && session.host != host {
		return fault.New(fault.AccessDenied, "an audit event is of session %s, which is another host's; a host delivers events of its own sessions only", f.SID)
	}
	if !f.Chained() {
		return nil
	}
	if _, ok := moved[session]; !ok {
		moved[session] = *session
	}
	if session.state&stateOf(f)&ended != 0 {
		return l.setAside(f)
	}
	free := f.Index >= session.next
	if session.host == "" {
		session.host = host
	}
	session.last = l.next
	session.note(f.Index, stateOf(f))
	if free {
		return nil
	}
	taken, err := l.taken(ctx, f.SID, f.Index)
	if err != nil {
		return err
	}
	if taken {
		return fault.New(fault.CompareFailed,
			"event %d of session %s is already in the audit log and cannot be replaced; keep the agent's spool and ask an administrator to look into it", f.Index, f.SID)
	}
	return nil
}

// taken reports whether a session has an event of this index, on disk or waiting to be indexed.
func (l *Log) taken(ctx context.Context, sid uuid.UUID, ei int64) (bool, error) {
	for _, rows := range [][]row{l.indexing, l.rows} {
		for i := range rows {
			if rows[i].ei == ei && rows[i].session == sid {
				return true, nil
			}
		}
	}
	found, err := l.hasEvent(ctx, sid, ei)
	if err != nil {
		return false, refusal(err)
	}
	return found, nil
}

func (l *Log) undo(rows int, moved map[*sessionAt]sessionAt) {
	l.rows = l.rows[:rows]
	for session, before := range moved {
		*session = before
	}
}

// ready makes the log usable again after a failure, if that is possible. Called with mu held, which it
// may give up meanwhile.
func (l *Log) ready(ctx context.Context) error {
	if l.failed == nil {
		return nil
	}
	l.mu.Unlock()
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	if l.failed == nil || l.closed { // by now the files may be another process's
		return l.failed
	}
	if err := l.repair(ctx); err != nil {
		return l.fail(err)
	}
	l.failed = nil
	return nil
}

// fail stops the log until ready succeeds. What is not synced is cut off then: nobody was told that it
// is stored. Called with mu held.
func (l *Log) fail(err error) error {
	l.failed = refusal(err)
	l.failures++
	if l.cut == nil && l.name != "" {
		l.cut = &place{l.name, l.durable}
	}
	if l.file != nil {
		l.file.Close() //nolint:errcheck // it is given up already
		l.file = nil
	}
	return l.failed
}

func refusal(cause error) error {
	return fault.Wrap(fault.ConnectionProblem, cause,
		"the audit log cannot be written, so nothing can be changed now; ask an administrator to check the disk of the auth service")
}
