//go:build unix

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// takeTurn waits for the lock on a directory and returns what gives it back.
func takeTurn(path string) (done func()) {
	dir, err := os.Open(path)
	if err != nil {
		return func() {}
	}
	for errors.Is(unix.Flock(int(dir.Fd()), unix.LOCK_EX), unix.EINTR) {
	}
	return func() { _ = dir.Close() }
}
