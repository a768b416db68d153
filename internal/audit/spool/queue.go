package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Batch is some records of one stream, in order and without holes.
type Batch struct {
	FirstSeq uint64
	Lines    [][]byte // valid until the next ReadBatch
	Lost     uint64   // records directly before FirstSeq that cannot be read any more; see Had
	Damage   []Damage // what was found on the way, to be recorded by the caller
	Cursor   Cursor   // acknowledges the batch
}

// Queue delivers the records of one stream in order. All queues of a Spool belong to one goroutine.
type Queue struct {
	spool  *Spool
	stream string
	path   string
	lock   *os.File // of a dead process's directory; nil for this process's own

	loaded bool
	read   Cursor
	acked  Cursor
	file   *os.File // the segment of read, once it is open
	done   bool     // everything that a dead process left was read
	buffer []byte

	damaged   map[string]bool // segments that are set aside instead of deleted; true once that is acknowledged
	behind    bool            // acknowledged segments are still to be deleted
	sessions  openSessions    // left open by the segments that were deleted
	recovered bool            // the ends of its open sessions are written
}

// Stream returns the process-start id of the records.
func (q *Queue) Stream() string { return q.stream }

// Rewind goes back to what was last acknowledged, after a batch could not be delivered.
func (q *Queue) Rewind() error {
	q.read, q.done = q.acked, false
	maps.DeleteFunc(q.damaged, func(_ string, acknowledged bool) bool { return !acknowledged })
	return q.closeFile()
}

func (q *Queue) closeFile() error {
	if q.file == nil {
		return nil
	}
	err := q.file.Close()
	q.file = nil
	return err
}

// Wait returns when there are synced records beyond those read, or the context ends.
func (q *Queue) Wait(ctx context.Context) error {
	for q.lock == nil {
		q.spool.mu.Lock()
		more, changed := uint64(q.spool.synced) > q.read.seq, q.spool.changed.Changed()
		q.spool.mu.Unlock()
		if more {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// ReadBatch returns the next records that survive the loss of power, at most maxRecords of them and, unless the first alone is larger,
// at most maxBytes. A batch without records means that there are no more now; it may report damage.
func (q *Queue) ReadBatch(maxRecords int, maxBytes int64) (Batch, error) {
	var batch Batch
	if err := q.load(); err != nil {
		return batch, fmt.Errorf("reading the audit spool: %w", err)
	}
	for {
		more, err := q.open(&batch)
		if err == nil && more {
			more, err = q.scan(&batch, maxRecords, maxBytes)
		}
		if err != nil {
			return batch, fmt.Errorf("reading the audit spool: %w", err)
		}
		if !more || len(batch.Lines) > 0 {
			batch.Cursor = q.read
			return batch, nil
		}
	}
}

// load continues where an earlier process stopped.
func (q *Queue) load() (err error) {
	if q.loaded || q.lock == nil {
		return nil
	}
	if q.acked, err = loadCursor(q.path); err != nil {
		return err
	}
	if q.sessions, err = loadSessions(q.path); err != nil {
		return err
	}
	q.read, q.loaded, q.behind = q.acked, true, true
	return nil
}

// open makes sure that the segment of the next record is open. It reports false when there is none.
func (q *Queue) open(batch *Batch) (bool, error) {
	if q.file != nil {
		return true, nil
	}
	segments, unreadable, err := listSegments(q.path)
	if errors.Is(err, fs.ErrNotExist) && q.lock == nil {
		return false, nil // the spool itself reports this
	}
	if err != nil {
		return false, err
	}
	for _, name := range unreadable {
		q.report(batch, Damage{File: name, Reason: "the header of the file cannot be read"})
	}
	next := following(segments, q.read)
	if next == nil {
		q.done = q.lock != nil
		return false, nil
	}
	if q.file, err = os.Open(filepath.Join(q.path, next.name)); err != nil {
		return false, err
	}
	if next.name != q.read.file {
		q.enter(batch, next)
	}
	return true, nil
}

// enter moves the cursor to the start of a segment and counts what is missing before it.
func (q *Queue) enter(batch *Batch, next *segmentInfo) {
	if next.first > q.read.seq {
		missing := next.first - q.read.seq
		if len(batch.Damage) == 0 {
			batch.Damage = append(batch.Damage, Damage{File: next.name, Reason: missingBefore})
		}
		batch.Damage[len(batch.Damage)-1].Lost += missing
		batch.Lost += missing
	}
	q.read = Cursor{file: next.name, number: next.number, offset: headerSize, seq: next.first}
}

// following returns the segment that has the record at the cursor, or nil.
func following(segments []segmentInfo, c Cursor) *segmentInfo {
	i := slices.IndexFunc(segments, func(s segmentInfo) bool { return s.name == c.file })
	switch {
	case i >= 0 && c.ended:
		i++
	case i < 0 && c.file == "":
		i = 0
	case i < 0:
		i = slices.IndexFunc(segments, func(s segmentInfo) bool { return s.first >= c.seq })
	}
	if i < 0 || i >= len(segments) {
		return nil
	}
	return &segments[i]
}

// scan reads records from the open segment into the empty batch. It reports false when there are no more
// for now, and closes the segment when it has ended.
func (q *Queue) scan(batch *Batch, maxRecords int, maxBytes int64) (more bool, err error) {
	end, growing, err := q.bounds()
	if err != nil {
		return false, err
	}
	batch.FirstSeq = q.read.seq
	if maxRecords = q.limit(maxRecords); maxRecords == 0 {
		return false, nil
	}
	data, err := q.fill(min(maxBytes, end-q.read.offset))
	if err != nil {
		return false, err
	}
	for len(batch.Lines) < maxRecords {
		line, state := decodeRecord(data, end-q.read.offset-int64(len(data)))
		if state == cutOff && len(batch.Lines) == 0 {
			// A record larger than a batch. Its length may be wrong, but stays within the segment.
			if data, err = q.fill(end - q.read.offset); err != nil {
				return false, err
			}
			line, state = decodeRecord(data, 0)
			maxRecords = 1
		}
		if state != complete {
			if len(batch.Lines) > 0 || growing {
				return len(batch.Lines) > 0, nil
			}
			return q.finish(batch, state, end)
		}
		batch.Lines = append(batch.Lines, line)
		data = after(data, line)
		q.read.offset += recordSize(len(line))
		q.read.seq++
	}
	return true, nil
}

// limit returns how many records may be delivered now, at most so many. Of this process's own they are those that survive
// the loss of power, or never will: otherwise the log might have events that this host does not know of when it ends their sessions.
func (q *Queue) limit(atMost int) int {
	if q.lock != nil {
		return atMost
	}
	q.spool.mu.Lock()
	defer q.spool.mu.Unlock()
	durable := max(uint64(q.spool.synced), q.read.seq)
	return int(min(uint64(atMost), durable-q.read.seq))
}

// bounds returns where the open segment's records may end, and whether it is still being written.
func (q *Queue) bounds() (end int64, growing bool, err error) {
	if q.lock == nil {
		q.spool.mu.Lock()
		current := q.spool.current
		if current != nil && uint64(current.number) == q.read.number {
			end, growing = current.end, true
		}
		q.spool.mu.Unlock()
		if growing {
			return end, true, nil
		}
	}
	info, err := q.file.Stat()
	if err != nil {
		return 0, false, err
	}
	return max(info.Size(), q.read.offset), false, nil
}

// fill reads size bytes of the open segment from the cursor on, or fewer at its end.
func (q *Queue) fill(size int64) ([]byte, error) {
	if int64(cap(q.buffer)) < size {
		q.buffer = make([]byte, size)
	}
	n, err := q.file.ReadAt(q.buffer[:size], q.read.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return q.buffer[:n], nil
}

// finish leaves a segment that has no complete record at the cursor, and finds out whether it should.
func (q *Queue) finish(batch *Batch, state recordState, end int64) (more bool, err error) {
	segments, _, err := listSegments(q.path)
	if err != nil {
		return false, err
	}
	q.read.ended = true
	next := following(segments, q.read)
	if next == nil && q.lock == nil {
		q.read.ended = false // the spool is failing: the next segment is still to come
		return false, nil
	}
	if next == nil || next.first > q.read.seq {
		damage := Damage{File: q.read.file, Offset: q.read.offset}
		if state == changed {
			damage.Reason = "the checksum of a record is wrong"
		} else if rest, err := q.fill(end - q.read.offset); err != nil {
			return false, err
		} else if !isZero(rest) {
			damage.Reason = "a record is incomplete"
		}
		if damage.Reason != "" {
			q.report(batch, damage)
		}
	}
	return true, q.closeFile()
}
