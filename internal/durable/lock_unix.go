//go:build unix

package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// LockDir opens and locks a directory. The lock holds until the file is closed or the process ends. The error
// is ErrLocked, at once, if another process holds the lock, and fs.ErrNotExist if the directory is not there.
func LockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrLocked
	case err == nil:
		var info os.FileInfo
		if info, err = dir.Stat(); err == nil {
			err = CheckName(path, info)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), dir.Close())
	}
	return dir, nil
}
