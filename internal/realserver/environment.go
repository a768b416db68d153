//go:build unix

package realserver

import (
	"os"
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

// Undisturbed makes this process's own environment what Environment returns, and lets other accounts read the files that it
// writes, as far as they are meant for them.
func Undisturbed() {
	syscall.Umask(0o022)
	kept := Environment()
	os.Clearenv()
	for _, variable := range kept {
		name, value, _ := strings.Cut(variable, "=")
		_ = os.Setenv(name, value) // they were set before
	}
}
