//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/mariaserver"
	"sallyport/internal/realserver"
)

// mariadb starts a MariaDB with the files of tctl auth sign --format=db, and sets the variable NAME to its port on
// 127.0.0.1, NAME_SOCKET to its socket: mariadb NAME PREFIX.
func (s *story) mariadb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mariadb NAME PREFIX")
	}
	prefix := ts.MkAbs(args[1])
	started := mariaserver.Start(s.tb, mariaserver.Options{Certificates: realserver.Certificates{CertFile: prefix + ".crt", KeyFile: prefix + ".key", TrustFile: prefix + ".cas"}})
	if s.mariadbs == nil {
		s.mariadbs = map[string]*mariaserver.Server{}
	}
	s.mariadbs[args[0]] = started
	_, port, err := net.SplitHostPort(started.Addr)
	ts.Check(err)
	ts.Setenv(args[0], port)
	ts.Setenv(args[0]+"_SOCKET", started.Socket())
}

// mariasql runs SQL as root, or ends or begins the life of the server: mariasql NAME TEXT|stop|start.
func (s *story) mariasql(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || s.mariadbs[args[0]] == nil {
		ts.Fatalf("usage: mariasql NAME TEXT|stop|start")
	}
	server := s.mariadbs[args[0]]
	switch text := strings.Join(args[1:], " "); text {
	case "stop":
		server.Stop(s.in(ts))
	case "start":
		server.Start(s.in(ts))
	default:
		fmt.Fprintln(ts.Stdout(), server.Exec(s.in(ts), text))
	}
}
