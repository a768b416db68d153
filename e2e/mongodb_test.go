//go:build linux

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/mongoserver"
	"sallyport/internal/realserver"
)

// mongodb starts a FerretDB with the files of tctl auth sign --format=db, for accounts with commas between them, sets the
// variable NAME to its port on 127.0.0.1, and puts the MongoDB Shell into the PATH: mongodb NAME PREFIX ACCOUNTS.
func (s *story) mongodb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mongodb NAME PREFIX ACCOUNTS")
	}
	prefix := ts.MkAbs(args[1])
	server := mongoserver.Start(s.tb, mongoserver.Options{
		Accounts:     strings.Split(args[2], ","),
		Certificates: realserver.Certificates{CertFile: prefix + ".crt", KeyFile: prefix + ".key", TrustFile: prefix + ".cas"},
	})
	_, port, err := net.SplitHostPort(server.Addr)
	ts.Check(err)
	ts.Setenv(args[0], port)
	find := exec.Command("../scripts/mongosh")
	find.Stderr = os.Stderr
	folder, err := find.Output()
	ts.Check(err)
	ts.Setenv("PATH", strings.TrimSpace(string(folder))+":"+ts.Getenv("PATH"))
	ts.Setenv("DISABLE_TELEMETRY", "1")
}
