//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"sallyport/internal/realserver"
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

// template returns a fresh database cluster to copy. It is made once for each version and account, and kept for
// later runs, since making one takes longer than most tests. Several processes may make it at once: one wins.
func (s *Server) template() (string, error) {
	version := filepath.Base(filepath.Dir(s.bin))
	path := filepath.Join("/tmp", fmt.Sprintf("pgserver-template-%s-%d", version, os.Getuid()))
	if s.account.Owns(filepath.Join(path, "PG_VERSION")) {
		return path, nil
	}
	parent, err := os.MkdirTemp("/tmp", "pgserver-initdb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(parent)
	if err := s.account.Own(parent); err != nil {
		return "", err
	}
	data := filepath.Join(parent, "data")
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", data, "-U", superuser, "--auth=trust", "--no-sync", "--wal-segsize=1", "--encoding=UTF8", "--locale=C")
	cmd.Dir, cmd.Env = parent, realserver.Environment()
	cmd.SysProcAttr = s.account.Attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := os.Rename(data, path); err != nil {
		if !s.account.Owns(filepath.Join(path, "PG_VERSION")) {
			return "", err
		}
	}
	return path, nil
}
