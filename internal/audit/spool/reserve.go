package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// reserveName is a file of a process's directory that only takes up space. Deleting a delivered segment needs
// a little first, for what it leaves open; on a full disk the reserve gives that, or no space were ever made.
const reserveName = "reserve"

const (
	reserveSize = 1 << 20 // many times what the open sessions of a process take
	reservePart = 16      // of small segments only this part
)

// keepReserve makes sure that the reserve is there, and the file for the cursor. No segment is made without.
func (s *Spool) keepReserve() error {
	s.reserve.Lock()
	defer s.reserve.Unlock()
	path := filepath.Join(s.path, reserveName)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	// A cursor of zeros is none, and takes the space of one.
	acked := filepath.Join(s.path, ackedName)
	if _, err := os.Stat(acked); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(acked, make([]byte, ackedSize), 0o600); err != nil {
			return errors.Join(err, os.Remove(acked))
		}
	}
	file, err := CreateFile(path, min(reserveSize, s.config.SegmentSize/reservePart))
	if err != nil {
		return err
	}
	return file.Close()
}

// write calls a function that writes a small file, and once more with the space of a reserve if there was none.
func (q *Queue) write(do func() error) error {
	err := do()
	if err == nil || !noSpace(err) {
		return err
	}
	q.spool.reserve.Lock() // so that nothing makes the reserve again before its space is used
	defer q.spool.reserve.Unlock()
	for _, dir := range []string{q.path, q.spool.path} {
		if noSpace(err) && os.Remove(filepath.Join(dir, reserveName)) == nil {
			err = do()
		}
	}
	return err
}
