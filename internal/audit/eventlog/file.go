package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/durable"
)

const (
	fileLayout  = "2006-01-02.15:04:05"
	fileSuffix  = ".log"
	currentName = "events.log"
)

func openLineFile(path string) (LineFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

// rotate makes sure that the file for lines received now is open: one per day in UTC. Called with mu held.
func (l *Log) rotate(now time.Time) error {
	day := now.UTC().Truncate(24*time.Hour).Format(fileLayout) + fileSuffix
	if l.file != nil && day <= l.name { // a clock that goes back does not lead back to an older file
		return nil
	}
	name := l.name
	switch {
	case name < day:
		name = day
	case l.distrust:
		name = later(name, now)
	}
	if err := l.closeFile(); err != nil {
		return err
	}
	return l.openFile(name)
}

// later returns a name for a new file that sorts behind the file of the name.
func later(name string, now time.Time) string {
	now = now.UTC().Truncate(time.Second)
	last, err := time.Parse(fileLayout, strings.TrimSuffix(name, fileSuffix))
	if err == nil && !now.After(last) {
		now = last.Add(time.Second)
	}
	return now.Format(fileLayout) + fileSuffix
}

// closeFile syncs and closes the file.
func (l *Log) closeFile() error {
	if l.file == nil {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.synced, l.durable = l.next, l.size
	file := l.file
	l.file = nil
	return file.Close()
}

func (l *Log) openFile(name string) error {
	path := filepath.Join(l.dir, name)
	file, err := l.config.OpenFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err == nil {
		err = durable.SyncDir(l.dir)
	}
	if err == nil {
		err = l.pointTo(name)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.info, l.name, l.size, l.durable = file, info, name, info.Size(), info.Size()
	l.distrust = false
	return nil
}

// pointTo makes the symbolic link events.log name the file.
func (l *Log) pointTo(name string) error {
	temp := filepath.Join(l.config.Dir, "."+currentName)
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(l.config.HostID, name), temp); err != nil {
		return fmt.Errorf("naming the current file of the audit log: %w", err)
	}
	return os.Rename(temp, filepath.Join(l.config.Dir, currentName))
}

// fileNames returns the names of the files of lines, oldest first.
func (l *Log) fileNames() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries { // sorted by name, which is by time
		base, ok := strings.CutSuffix(entry.Name(), fileSuffix)
		if _, err := time.Parse(fileLayout, base); ok && err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
