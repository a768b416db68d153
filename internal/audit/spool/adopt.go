package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Pending returns the queues to deliver: this process's own first, then those of processes of this host
// that have died. A dead process's directory is deleted by the call after everything in it is
// acknowledged and Recover has closed its sessions.
func (s *Spool) Pending() ([]*Queue, error) {
	if err := s.adopt(); err != nil {
		return nil, fmt.Errorf("adopting audit records: %w", err)
	}
	queues := []*Queue{s.own}
	s.own.trim() //nolint:errcheck // the next Ack reports it
	for _, stream := range s.adoptedStreams() {
		q := s.adopted[stream]
		q.trim() //nolint:errcheck // the next Ack reports it
		if !q.drained() || !q.recovered {
			queues = append(queues, q)
			if q.drained() {
				q.clear() //nolint:errcheck // the next call tries again, and it must not hold up other queues
			}
			continue
		}
		delete(s.adopted, stream)
		if err := q.remove(); err != nil {
			return nil, fmt.Errorf("deleting delivered audit records: %w", err)
		}
	}
	return queues, nil
}

func (s *Spool) adoptedStreams() []string {
	streams := make([]string, 0, len(s.adopted))
	for stream := range s.adopted {
		streams = append(streams, stream)
	}
	slices.Sort(streams)
	return streams
}

// adopt locks the directories that nobody holds.
func (s *Spool) adopt() error {
	entries, err := os.ReadDir(s.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Append and Sync report this
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, newPrefix) {
			err = s.sweep(filepath.Join(s.config.Dir, name))
		} else if isStream(entry) && name != s.stream && s.adopted[name] == nil {
			err = s.adoptStream(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) adoptStream(stream string) error {
	path := filepath.Join(s.config.Dir, stream)
	lock, err := lockDir(path)
	if err != nil || lock == nil {
		return err
	}
	_, err = os.Stat(filepath.Join(path, recoveredName))
	if s.adopted == nil {
		s.adopted = make(map[string]*Queue)
	}
	s.adopted[stream] = &Queue{spool: s, stream: stream, path: path, lock: lock, recovered: err == nil}
	return nil
}

// sweep deletes a directory whose process died before using it.
func (s *Spool) sweep(path string) error {
	lock, err := lockDir(path)
	if err != nil || lock == nil {
		return err
	}
	return errors.Join(os.RemoveAll(path), lock.Close())
}

func (s *Spool) closeQueues() error {
	err := s.own.closeFile()
	for _, q := range s.adopted {
		err = errors.Join(err, q.closeFile(), q.lock.Close())
	}
	s.adopted = nil
	return err
}
