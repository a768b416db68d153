//go:build unix

package realserver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// disturbing are beginnings of the names of variables by which clients and servers of databases, and our own commands, go
// elsewhere, come as somebody else, or speak another language.
var disturbing = []string{"TELEPORT_", "PG", "PSQL", "MYSQL", "MARIADB", "REDISCLI", "VALKEYCLI", "MONGODB", "ALL_PROXY", "all_proxy", "LC_", "LANG"}

// Environment returns this process's variables but for those that such programs are disturbed by.
func Environment() []string {
	return append(slices.DeleteFunc(os.Environ(), isDisturbing), "LC_ALL=C.UTF-8")
}

func isDisturbing(variable string) bool {
	return slices.ContainsFunc(disturbing, func(beginning string) bool { return strings.HasPrefix(variable, beginning) })
}

// Main runs the tests of a package that have clients of databases: func TestMain(m *testing.M) { realserver.Main(m) }.
func Main(m *testing.M) {
	Undisturbed()
	os.Exit(m.Run())
}

// Undisturbed makes this process's own environment what Environment returns, with a home where clients find no files, and lets
// other accounts read what it writes, as far as it is meant for them.
func Undisturbed() {
	syscall.Umask(0o022)
	environment := append(Environment(), "HOME=/nonexistent")
	for name, place := range elsewhere {
		if dir, err := place.base(); err == nil && os.Getenv(name) == "" {
			environment = append(environment, name+"="+filepath.Join(dir, place.path))
		}
	}
	os.Clearenv()
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		_ = os.Setenv(name, value) // it is a name
	}
}

// elsewhere is where programs of Go, and our scripts, would otherwise look for their files at home.
var elsewhere = map[string]struct {
	base func() (string, error)
	path string
}{
	"GOPATH":         {os.UserHomeDir, "go"},
	"GOENV":          {os.UserConfigDir, "go/env"},
	"XDG_CACHE_HOME": {os.UserCacheDir, ""},
}
