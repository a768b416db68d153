package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Ack records that everything before the cursor is in the audit log, and deletes the segments that are
// needed no more. Damaged segments are set aside in the spool's directory instead. What could not be deleted
// is tried again by the next call and by Pending.
func (q *Queue) Ack(c Cursor) error {
	if c != q.acked {
		if err := q.write(func() error { return c.save(q.path) }); err != nil {
			return fmt.Errorf("acknowledging audit records: %w", err)
		}
		q.behind = q.behind || c.file != q.acked.file
		q.acked = c
	}
	for name := range q.damaged {
		q.damaged[name] = true
	}
	if err := q.trim(); err != nil {
		return fmt.Errorf("deleting an acknowledged segment: %w", err)
	}
	return nil
}

// trim deletes the segments before the acknowledged one.
func (q *Queue) trim() error {
	if !q.behind {
		return nil
	}
	segments, _, err := listSegments(q.path)
	if err != nil {
		return err
	}
	reached := slices.IndexFunc(segments, func(s segmentInfo) bool { return s.name == q.acked.file })
	for _, segment := range segments[:max(reached, 0)] {
		if err := q.drop(segment.name); err != nil {
			return err
		}
	}
	q.behind = false
	return nil
}

// drop deletes a segment after noting which sessions it leaves open.
func (q *Queue) drop(name string) error {
	path := filepath.Join(q.path, name)
	if err := q.sessions.read(path); err != nil {
		return err
	}
	if err := q.write(func() error { return q.sessions.save(q.path) }); err != nil {
		return err
	}
	if _, damaged := q.damaged[name]; damaged {
		return os.Rename(path, q.aside(name))
	}
	return os.Remove(path)
}

// aside returns where a damaged segment is kept.
func (q *Queue) aside(name string) string {
	return filepath.Join(q.spool.config.Dir, "damaged-"+q.stream+"-"+name)
}

// clear deletes all segments of a drained queue, so that the ends of its sessions find space.
func (q *Queue) clear() error {
	segments, unreadable, err := listSegments(q.path)
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if err := q.drop(segment.name); err != nil {
			return err
		}
	}
	for _, name := range unreadable {
		if err := os.Rename(filepath.Join(q.path, name), q.aside(name)); err != nil {
			return err
		}
	}
	unused, err := filepath.Glob(filepath.Join(q.path, "*"+segmentSuffix))
	if err != nil {
		return err
	}
	for _, path := range unused {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// drained reports whether a dead process's records are all read and acknowledged.
func (q *Queue) drained() bool { return q.done && q.read.seq == q.acked.seq }

// remove deletes a drained queue's directory.
func (q *Queue) remove() error {
	for name := range q.damaged {
		err := os.Rename(filepath.Join(q.path, name), q.aside(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(os.RemoveAll(q.path), q.lock.Close())
}
