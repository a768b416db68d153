//go:build unix

// Package redisserver starts real Redis servers for tests, single ones and clusters. It is imported by tests only.
//
// A server listens on a loopback port with TLS and accepts nothing there but client certificates of its own authority.
// Administration goes through a Unix socket, as the account "admin".
package redisserver

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/realserver"
)

const binary = "/usr/bin/redis-server"

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	// Users are rules of accounts as in "alice on >secret ~* +@all"; default: everybody is "default", who may do
	// everything and needs no password.
	Users []string
	// Settings are lines of redis.conf.
	Settings []string
	realserver.Certificates
}

// Server is a running Redis.
type Server struct {
	Addr string // host:port, the same after a restart
	realserver.Authorities

	dir     string
	process *realserver.Process // nil while it is stopped
}

// Start starts a server and stops it when the test is over. Its log is shown if the test failed.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := newServer(&options)
	if err != nil {
		t.Fatalf("preparing Redis: %v", err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("end of the log of Redis at %s:\n%s", s.Addr, realserver.Tail(s.Log(t)))
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing Redis: %v", err)
		}
	})
	s.Start(t)
	return s
}

func newServer(options *Options) (*Server, error) {
	s := &Server{}
	var err error
	// A short path, because those of Unix sockets have at most 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "redisserver-"); err != nil {
		return nil, err
	}
	if err := s.prepare(options); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare(options *Options) error {
	var err error
	if s.Authorities, err = options.Certificates.Write("redis", s.write); err != nil {
		return err
	}
	port, err := realserver.FreePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	users := append([]string{"admin on >admin allkeys allchannels allcommands"}, options.Users...)
	if err := s.write("users.acl", []byte("user "+strings.Join(users, "\nuser ")+"\n")); err != nil {
		return err
	}
	settings := append([]string{
		"port 0", "tls-port " + strconv.Itoa(port), "bind 127.0.0.1", "unixsocket " + s.Socket(), "unixsocketperm 700",
		"dir " + s.dir, `save ""`, "appendonly no", "daemonize no", "aclfile " + s.path("users.acl"), "enable-debug-command local",
		"tls-cert-file " + s.path(realserver.CertFile), "tls-key-file " + s.path(realserver.KeyFile),
		"tls-ca-cert-file " + s.path(realserver.TrustFile), "tls-auth-clients yes",
	}, options.Settings...)
	return s.write("redis.conf", []byte(strings.Join(settings, "\n")+"\n"))
}

// Socket returns the server's Unix socket.
func (s *Server) Socket() string { return s.path("socket") }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(name string, content []byte) error {
	return os.WriteFile(s.path(name), content, 0o600)
}

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.process = realserver.Start(t, realserver.Command{
		Name: "Redis", Dir: s.dir, Log: s.path("log"), Signal: "KILL",
		Args:  []string{binary, s.path("redis.conf")},
		Ready: func() bool { answer, err := s.ask("PING"); return err == nil && answer == "PONG" },
	})
}

// Stop ends the server at once, with all its connections. A stopped one stays so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.process != nil {
		s.process.Stop(t)
		s.process = nil
	}
}

// Log returns what the server has logged.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(s.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Do sends a command as the administrator, and returns the reply: elements one a line, errors with their code.
func (s *Server) Do(t testing.TB, args ...string) string {
	t.Helper()
	answer, err := s.ask(args...)
	if err != nil {
		t.Fatalf("asking Redis for %q: %v", args, err)
	}
	return answer
}

func (s *Server) ask(args ...string) (string, error) {
	c, err := s.admin()
	if err != nil {
		return "", err
	}
	defer c.close()
	return c.do(args...)
}

func (s *Server) admin() (*conn, error) {
	raw, err := net.Dial("unix", s.Socket())
	if err != nil {
		return nil, err
	}
	c := newConn(raw)
	answer, err := c.do("AUTH", "admin", "admin")
	if err == nil && answer != "OK" {
		err = fmt.Errorf("AUTH: %s", answer)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}
