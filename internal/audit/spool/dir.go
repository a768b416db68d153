package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"sallyport/internal/durable"
)

// newPrefix begins the name of a process's directory until it is locked.
const newPrefix = ".new-"

// lockDir opens and locks a directory; the lock ends with the process. It returns nil without an
// error if another process holds it or the directory has gone.
func lockDir(path string) (*os.File, error) {
	dir, err := durable.LockDir(path)
	if errors.Is(err, durable.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return dir, err
}

// makeDir makes the directory of a process, locked before others can see it.
func makeDir(root, stream string) (*os.File, error) {
	temp := filepath.Join(root, newPrefix+stream)
	if err := os.Mkdir(temp, 0o700); err != nil {
		return nil, err
	}
	dir, err := lockDir(temp)
	if err == nil && dir == nil {
		err = fmt.Errorf("%s vanished", temp)
	}
	if err == nil {
		err = os.Rename(temp, filepath.Join(root, stream))
	}
	if err == nil {
		err = durable.SyncDir(root)
	}
	if err != nil {
		return nil, fmt.Errorf("making the spool's directory: %w", err)
	}
	return dir, nil
}

// streamDirs returns the process-start ids that have a directory under root.
func streamDirs(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var streams []string
	for _, entry := range entries {
		if isStream(entry) {
			streams = append(streams, entry.Name())
		}
	}
	return streams, nil
}

// isStream reports whether a directory entry is the directory of a process.
func isStream(entry fs.DirEntry) bool {
	_, err := uuid.Parse(entry.Name())
	return err == nil && entry.IsDir()
}

// usage returns the size of all segments of all processes.
func usage(root string) (total int64, err error) {
	streams, err := streamDirs(root)
	if err != nil {
		return 0, err
	}
	for _, stream := range streams {
		entries, err := os.ReadDir(filepath.Join(root, stream))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, entry := range entries {
			if !strings.HasSuffix(entry.Name(), segmentSuffix) {
				continue
			}
			if info, err := entry.Info(); err == nil { // else deleted by its owner just now
				total += info.Size()
			}
		}
	}
	return total, nil
}
