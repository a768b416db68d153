package spool

import (
	"context"
	"time"
)

// Sync returns when the record that pos was returned for survives the loss of power. Callers share
// the disk's work. After an error the record must not be relied on.
func (s *Spool) Sync(ctx context.Context, pos Pos) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.lostBecause(pos); err != nil {
			return err
		}
		if s.synced >= pos {
			return nil
		}
		if s.syncing == nil {
			s.commit()
			continue
		}
		done := s.syncing
		s.mu.Unlock()
		var err error
		select {
		case <-done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// lostBecause returns why a record will never be durable, or nil.
func (s *Spool) lostBecause(pos Pos) error {
	for _, span := range s.lost {
		if span.from < pos && pos <= span.to {
			return span.cause
		}
	}
	return nil
}

// commit syncs everything appended so far. Called with mu held, which it gives up meanwhile.
func (s *Spool) commit() {
	done := make(chan struct{})
	s.syncing = done
	target, sealed, current, given := Pos(s.next), s.sealed, s.current, len(s.lost)
	s.mu.Unlock()
	err := syncAll(sealed, current)
	s.mu.Lock()
	s.syncing = nil
	switch {
	case len(s.lost) > given: // another error has given these segments up
		s.closeRefused()
	case err != nil:
		s.poison(err)
	default:
		s.synced = target
		s.sealed = s.sealed[len(sealed):]
		for _, segment := range sealed {
			segment.file.Close() //nolint:errcheck // its content is durable
		}
	}
	close(done)
	s.changed.Ring()
}

func syncAll(sealed []*segment, current *segment) error {
	for _, segment := range sealed {
		if err := segment.file.Sync(); err != nil {
			return err
		}
	}
	if current == nil {
		return nil
	}
	if err := current.file.Sync(); err != nil {
		return err
	}
	// A file that has lost its name can be written and synced, and is gone with the process.
	return current.file.Check()
}

// Run syncs what nobody waits for, makes segments ahead of time, notices when the directory is gone,
// and goes on once a cause of failure is repaired, until the context ends.
func (s *Spool) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.config.SyncDelay)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.tend()
		}
	}
}

// tend does what is due.
func (s *Spool) tend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsynced := s.synced < Pos(s.next) && s.syncing == nil
	if s.failed != nil {
		if unsynced { // a segment that is not synced keeps its space, even deleted
			s.commit()
		}
		s.heal()
		return
	}
	if unsynced {
		s.commit()
	} else if err := s.current.file.Check(); err != nil {
		s.poison(err)
	}
	if s.current != nil && s.failed == nil && s.spare == nil && s.current.end > s.current.size/2 {
		s.prepare()
	}
}

// prepare makes the next segment. Called with mu held, which it gives up meanwhile. Failure is not
// reported: it will show when the segment is needed.
func (s *Spool) prepare() {
	number := s.number
	s.number++
	s.mu.Unlock()
	spare, err := s.create(number, s.config.SegmentSize)
	s.mu.Lock()
	if err == nil {
		s.spare = spare
	}
}

// heal goes on in a new segment if one can be made and synced. Called with mu held.
func (s *Spool) heal() {
	if s.current != nil { // only space was missing
		if made, err := s.create(s.number, s.config.SegmentSize); err == nil {
			s.number++
			s.spare = made
			s.failed = nil
		}
		return
	}
	if err := s.rotate(s.config.SegmentSize); err != nil {
		return
	}
	s.failed = nil
	if err := syncAll(nil, s.current); err != nil {
		s.poison(err)
	}
}
