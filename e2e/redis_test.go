//go:build linux

package e2e_test

import (
	"fmt"
	"net"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/realserver"
	"sallyport/internal/redisserver"
)

// redis starts a Redis with the files of tctl auth sign --format=redis, and sets the variable NAME to its port on
// 127.0.0.1: redis NAME PREFIX [RULES OF AN ACCOUNT ...].
func (s *story) redis(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: redis NAME PREFIX [RULES OF AN ACCOUNT ...]")
	}
	prefix := ts.MkAbs(args[1])
	started := redisserver.Start(s.tb, redisserver.Options{
		Users:        args[2:],
		Certificates: realserver.Certificates{CertFile: prefix + ".crt", KeyFile: prefix + ".key", TrustFile: prefix + ".cas"},
	})
	if s.redises == nil {
		s.redises = map[string]*redisserver.Server{}
	}
	s.redises[args[0]] = started
	_, port, err := net.SplitHostPort(started.Addr)
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// rdo sends a command as the administrator of a Redis, or ends or begins its life: rdo NAME COMMAND|stop|start.
func (s *story) rdo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || s.redises[args[0]] == nil {
		ts.Fatalf("usage: rdo NAME COMMAND|stop|start")
	}
	server := s.redises[args[0]]
	switch {
	case args[1] == "stop":
		server.Stop(s.in(ts))
	case args[1] == "start":
		server.Start(s.in(ts))
	default:
		fmt.Fprintln(ts.Stdout(), server.Do(s.in(ts), args[1:]...))
	}
}
