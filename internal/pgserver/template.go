//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// findBinaries returns the directory of the newest PostgreSQL of the system's packages.
func findBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	best, bestVersion := "", 0
	for _, path := range found {
		dir := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && version > bestVersion {
			best, bestVersion = dir, version
		}
	}
	if best == "" {
		return "", errors.New("no server below /usr/lib/postgresql; install the package postgresql")
	}
	return best, nil
}

// account is who runs the server, which refuses to run as root. Nil means ourselves.
type account struct{ uid, gid int }

func findAccount() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(superuser)
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
	return &account{uid, gid}, nil
}

func (a *account) own(paths ...string) error {
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

// owns reports whether the file is there and nobody else's.
func (a *account) owns(path string) bool {
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

func (a *account) attributes() *syscall.SysProcAttr {
	if a == nil {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
}

// template returns a fresh database cluster to copy. It is made once for each version and account, and kept for
// later runs, since making one takes longer than most tests. Several processes may make it at once: one wins.
func (s *Server) template() (string, error) {
	version := filepath.Base(filepath.Dir(s.bin))
	path := filepath.Join(os.TempDir(), fmt.Sprintf("pgserver-template-%s-%d", version, os.Getuid()))
	if s.account.owns(filepath.Join(path, "PG_VERSION")) {
		return path, nil
	}
	parent, err := os.MkdirTemp(os.TempDir(), "pgserver-initdb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(parent)
	if err := s.account.own(parent); err != nil {
		return "", err
	}
	data := filepath.Join(parent, "data")
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", data, "-U", superuser, "--auth=trust", "--no-sync", "--wal-segsize=1", "--encoding=UTF8", "--locale=C")
	cmd.Dir = parent
	cmd.SysProcAttr = s.account.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := os.Rename(data, path); err != nil {
		if !s.account.owns(filepath.Join(path, "PG_VERSION")) {
			return "", err
		}
	}
	return path, nil
}
