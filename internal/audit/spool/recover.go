package spool

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sallyport/internal/durable"
)

// recoveredName is the file that says that the ends of a directory's open sessions are written.
const recoveredName = "recovered"

// Recover calls end for each session that a dead process left open, once. The function continues the
// session's chain with an end whose reason says that it was lost, and appends that to this spool. If
// it fails, a later call goes on. Call it after Pending, on the same goroutine.
func (s *Spool) Recover(ctx context.Context, end func(OpenSession) error) error {
	var todo []*Queue
	open := make(map[string]*OpenSession)
	for _, stream := range s.adoptedStreams() {
		q := s.adopted[stream]
		if q.recovered {
			continue
		}
		sessions, err := q.openSessions()
		if err != nil {
			return fmt.Errorf("looking for open sessions: %w", err)
		}
		maps.Copy(open, sessions.open)
		todo = append(todo, q)
	}
	if err := s.endAll(ctx, open, end); err != nil {
		return err
	}
	for _, q := range todo {
		note := func() error { return durable.WriteFile(filepath.Join(q.path, recoveredName), nil, 0o600) }
		if err := q.write(note); err != nil {
			return fmt.Errorf("noting the end of lost sessions: %w", err)
		}
		q.recovered = true
	}
	return nil
}

// endAll ends the sessions that neither this process nor another that tried to recover them has ended.
func (s *Spool) endAll(ctx context.Context, open map[string]*OpenSession, end func(OpenSession) error) error {
	if len(open) == 0 {
		return nil
	}
	ended, err := s.endedElsewhere()
	if err != nil {
		return fmt.Errorf("looking for open sessions: %w", err)
	}
	if s.written == nil {
		s.written = make(map[string]bool)
	}
	for _, sid := range slices.Sorted(maps.Keys(open)) {
		if ended[sid] || s.written[sid] {
			continue
		}
		if err := end(*open[sid]); err != nil {
			return fmt.Errorf("ending lost session %s: %w", sid, err)
		}
		s.written[sid] = true
	}
	return s.Sync(ctx, s.End())
}

// endedElsewhere returns the sessions whose end stands in the directory of another process.
func (s *Spool) endedElsewhere() (map[string]bool, error) {
	streams, err := streamDirs(s.config.Dir)
	if err != nil {
		return nil, err
	}
	ended := make(map[string]bool)
	for _, stream := range streams {
		if stream == s.stream {
			continue
		}
		path := filepath.Join(s.config.Dir, stream)
		sessions, err := loadSessions(path)
		if err != nil {
			return nil, err
		}
		if err := sessions.readDir(path); err != nil {
			return nil, err
		}
		maps.Copy(ended, sessions.ended)
	}
	return ended, nil
}

// openSessions returns the sessions that the whole of a dead process's stream leaves open.
func (q *Queue) openSessions() (openSessions, error) {
	if err := q.load(); err != nil {
		return openSessions{}, err
	}
	all := openSessions{open: make(map[string]*OpenSession, len(q.sessions.open))}
	for sid, session := range q.sessions.open {
		copied := *session
		all.open[sid] = &copied
	}
	err := all.readDir(q.path)
	return all, err
}

// readDir follows the events of all segments of a directory.
func (o *openSessions) readDir(dir string) error {
	segments, _, err := listSegments(dir)
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if err := o.read(filepath.Join(dir, segment.name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
