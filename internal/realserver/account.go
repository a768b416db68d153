//go:build unix

package realserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Account is who runs a server that refuses to run as root. Nil means ourselves.
type Account struct{ uid, gid int }

// FindAccount returns the account of the name if we are root, and nil otherwise.
func FindAccount(name string) (*Account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("the server needs an account of its own: %w", err)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(found.Gid)
	if err != nil {
		return nil, err
	}
	return &Account{uid, gid}, nil
}

// Own gives the paths to the account.
func (a *Account) Own(paths ...string) error {
	if a == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, a.uid, a.gid); err != nil {
			return err
		}
	}
	return nil
}

// Owns reports whether the file is there and nobody else's.
func (a *Account) Owns(path string) bool {
	uid := os.Getuid()
	if a != nil {
		uid = a.uid
	}
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// Attributes run a command under the account.
func (a *Account) Attributes() *syscall.SysProcAttr {
	if a == nil {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
}
