//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/pgserver"
	"sallyport/internal/realserver"
)

type server = pgserver.Server

// postgres starts a PostgreSQL with the files of tctl auth sign --format=db, and sets the variable NAME to
// its port on 127.0.0.1, NAME_SOCKET to the directory of its socket: postgres NAME PREFIX.
func (s *story) postgres(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: postgres NAME PREFIX")
	}
	prefix := ts.MkAbs(args[1])
	started := pgserver.Start(s.tb, pgserver.Options{Certificates: realserver.Certificates{CertFile: prefix + ".crt", KeyFile: prefix + ".key", TrustFile: prefix + ".cas"}})
	if s.servers == nil {
		s.servers = map[string]*server{}
	}
	s.servers[args[0]] = started
	_, port, err := net.SplitHostPort(started.Addr)
	ts.Check(err)
	ts.Setenv(args[0], port)
	ts.Setenv(args[0]+"_SOCKET", started.Socket())
}

// sql runs SQL as the superuser, or ends or begins the life of the server: sql NAME TEXT|stop|start.
func (s *story) sql(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || s.servers[args[0]] == nil {
		ts.Fatalf("usage: sql NAME TEXT|stop|start")
	}
	server := s.servers[args[0]]
	switch text := strings.Join(args[1:], " "); text {
	case "stop":
		server.Stop(s.in(ts))
	case "start":
		server.Start(s.in(ts))
	default:
		fmt.Fprintln(ts.Stdout(), server.Exec(s.in(ts), text))
	}
}

// logged waits until the server's log has N lines that match: logged NAME N REGEXP. It logs every statement.
func (s *story) logged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || s.servers[args[0]] == nil {
		ts.Fatalf("usage: logged NAME N REGEXP")
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	pattern, err := regexp.Compile(args[2])
	ts.Check(err)
	server := s.servers[args[0]]
	for deadline := time.Now().Add(patience); len(pattern.FindAllString(server.Log(s.in(ts)), -1)) < count; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("PostgreSQL has not logged %q %d times", args[2], count)
		}
	}
}
