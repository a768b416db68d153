//go:build unix

// Package mongoserver starts servers of the MongoDB protocol for tests: FerretDB, an independent implementation over
// SQLite, with a front that logs clients in by their certificates, which FerretDB cannot. It is imported by tests only.
//
// FerretDB is built from a Go module of its own, once for all tests, because it brings more modules than all else here.
package mongoserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/realserver"
)

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	Accounts []string // that certificates open; default "app"
	realserver.Certificates
}

// Server is a running server.
type Server struct {
	Addr string // host:port, the same after a restart
	realserver.Authorities

	dir     string
	args    []string
	process *realserver.Process // nil while it is stopped
}

// Start starts a server and stops it when the test is over. Its log is shown if the test failed.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("building FerretDB: %v", err)
	}
	s := &Server{}
	// A short path, because those of Unix sockets have at most 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "mongoserver-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			log, _ := os.ReadFile(s.path("log"))
			t.Logf("end of the log of FerretDB at %s:\n%s", s.Addr, realserver.Tail(string(log)))
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing FerretDB: %v", err)
		}
	})
	if err := s.prepare(binary, &options); err != nil {
		t.Fatalf("preparing FerretDB: %v", err)
	}
	s.Start(t)
	return s
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// build returns the path of the command, which a script makes once and keeps for later runs.
func build() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding this module: %w", err)
	}
	script := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "scripts/ferretdb")
	var problems strings.Builder
	cmd := exec.Command(script)
	cmd.Stderr = &problems
	if out, err = cmd.Output(); err != nil {
		return "", fmt.Errorf("%w: %s", err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *Server) prepare(binary string, options *Options) error {
	write := func(name string, content []byte) error { return os.WriteFile(s.path(name), content, 0o600) }
	var err error
	if s.Authorities, err = options.Certificates.Write("mongodb", write); err != nil {
		return err
	}
	accounts := options.Accounts
	if accounts == nil {
		accounts = []string{"app"}
	}
	port, err := realserver.FreePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.args = []string{
		binary, "-listen=" + s.Addr, "-dir=" + s.dir, "-accounts=" + strings.Join(accounts, ","),
		"-cert=" + s.path(realserver.CertFile), "-key=" + s.path(realserver.KeyFile), "-ca=" + s.path(realserver.TrustFile),
	}
	return nil
}

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.process = realserver.Start(t, realserver.Command{Name: "FerretDB", Dir: s.dir, Log: s.path("log"), Signal: "TERM", Args: s.args, Ready: s.ready})
}

// ready reports whether both the front and FerretDB behind it listen.
func (s *Server) ready() bool {
	for _, at := range [][2]string{{"unix", s.path("s")}, {"tcp", s.Addr}} {
		conn, err := net.Dial(at[0], at[1])
		if err != nil {
			return false
		}
		_ = conn.Close()
	}
	return true
}

// Stop ends the server, with all its connections. A stopped one stays so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.process != nil {
		s.process.Stop(t)
		s.process = nil
	}
}
