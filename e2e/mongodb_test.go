//go:build linux

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/mongoserver"
	"sallyport/internal/realserver"
)

// mongodb starts a FerretDB with the files of tctl auth sign --format=mongodb, for accounts with commas between them, sets the
// variable NAME to its port on 127.0.0.1, and puts the MongoDB Shell into the PATH: mongodb NAME PREFIX ACCOUNTS.
func (s *story) mongodb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mongodb NAME PREFIX ACCOUNTS")
	}
	prefix := ts.MkAbs(args[1])
	server := mongoserver.Start(s.tb, mongoserver.Options{
		Accounts:     strings.Split(args[2], ","),
		Certificates: realserver.Certificates{CertFile: prefix + ".crt", KeyFile: prefix + ".crt", TrustFile: prefix + ".cas"},
	})
	_, port, err := net.SplitHostPort(server.Addr)
	ts.Check(err)
	ts.Setenv(args[0], port)
	mongoShell(ts)
}

// mongoShell puts the MongoDB Shell into the PATH, also of the hosts that are made afterwards.
func mongoShell(ts *testscript.TestScript) {
	folder := printed(ts, "../scripts/mongosh")
	ts.Setenv("PATH", folder+":"+ts.Getenv("PATH"))
	ts.Setenv("TOOLS", filepath.Dir(folder))
	ts.Setenv("DISABLE_TELEMETRY", "1")
}

// ferretdb puts the MongoDB Shell into the PATH, and sets the variable NAME to the path of FerretDB: ferretdb NAME.
func ferretdb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ferretdb NAME")
	}
	ts.Setenv(args[0], printed(ts, "../scripts/ferretdb"))
	mongoShell(ts)
}

// printed returns what a script prints, which makes it if need be.
func printed(ts *testscript.TestScript, script string) string {
	cmd := exec.Command(script)
	cmd.Stderr = os.Stderr
	path, err := cmd.Output()
	ts.Check(err)
	return strings.TrimSpace(string(path))
}
