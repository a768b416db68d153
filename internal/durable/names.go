package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrLocked is the error of LockDir when another process holds the lock.
var ErrLocked = errors.New("another process holds it")

// CheckName returns an error unless path still names the file that info describes: what is written to a file
// that was deleted is gone with the process, synced or not. The error is fs.ErrNotExist.
func CheckName(path string, info fs.FileInfo) error {
	now, err := os.Stat(path)
	if err == nil && !os.SameFile(now, info) {
		err = fmt.Errorf("%s was replaced: %w", path, fs.ErrNotExist)
	}
	return err
}
