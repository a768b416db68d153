//go:build unix

// Package pgserver starts real PostgreSQL servers for tests. It is imported by tests only.
//
// A server listens on a loopback port with TLS and accepts nothing there but client certificates of its own
// authority. Administration goes through a Unix socket, as the superuser.
package pgserver

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/realserver"
)

const superuser = "postgres"

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	// HBA are the lines of pg_hba.conf for connections through the network; default: a client certificate
	// for everybody.
	HBA []string
	// Settings are lines of postgresql.conf.
	Settings []string
	realserver.Certificates
}

// Server is a running PostgreSQL.
type Server struct {
	Addr string // host:port, the same after a restart
	realserver.Authorities

	dir     string
	socket  string
	bin     string
	account *realserver.Account
	process *realserver.Process // nil while it is stopped
}

// Start starts a server and stops it when the test is over. Its log is shown if the test failed.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := newServer(&options)
	if err != nil {
		t.Fatalf("preparing PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("end of the log of PostgreSQL at %s:\n%s", s.Addr, realserver.Tail(s.Log(t)))
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing PostgreSQL: %v", err)
		}
	})
	s.Start(t)
	return s
}

func newServer(options *Options) (*Server, error) {
	s := &Server{}
	var err error
	if s.bin, err = findBinaries(); err != nil {
		return nil, err
	}
	if s.account, err = realserver.FindAccount(superuser); err != nil {
		return nil, err
	}
	template, err := s.template()
	if err != nil {
		return nil, err
	}
	// A short path, because those of Unix sockets have at most 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "pgserver-"); err != nil {
		return nil, err
	}
	s.socket = filepath.Join(s.dir, "s")
	if err := s.prepare(template, options); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare(template string, options *Options) error {
	if err := realserver.Copy(template, s.data()); err != nil {
		return err
	}
	if err := os.Mkdir(s.socket, 0o755); err != nil {
		return err
	}
	var err error
	if s.Authorities, err = options.Certificates.Write("postgres", s.write); err != nil {
		return err
	}
	port, err := realserver.FreePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	hba := options.HBA
	if hba == nil {
		hba = []string{"hostssl all all 127.0.0.1/32 cert"}
	}
	lines := append([]string{"local all all trust"}, hba...)
	if err := s.write("pg_hba.conf", []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return err
	}
	settings := append([]string{
		"listen_addresses = '127.0.0.1'", "port = " + strconv.Itoa(port), "unix_socket_directories = '" + s.socket + "'",
		"fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = 256MB",
		"shared_buffers = 16MB", "max_connections = 200", "lc_messages = 'C'", "log_timezone = 'UTC'",
		"ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'", "ssl_ca_file = 'clients.crt'",
		"log_statement = 'all'", "log_line_prefix = '[%p] %u@%d '", "log_connections = on", "log_disconnections = on",
	}, options.Settings...)
	if err := s.write("postgresql.conf", []byte(strings.Join(settings, "\n")+"\n")); err != nil {
		return err
	}
	return s.account.Own(s.dir, s.socket)
}

// Socket returns the directory of the server's Unix socket, by which anybody is whom they say they are.
func (s *Server) Socket() string { return s.socket }

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// write puts a file into the data directory, for the server's eyes only.
func (s *Server) write(name string, content []byte) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return s.account.Own(path)
}

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.process = realserver.Start(t, realserver.Command{
		Name: "PostgreSQL", Account: s.account, Dir: s.dir, Log: s.logFile(), Signal: "INT",
		Args: []string{filepath.Join(s.bin, "postgres"), "-D", s.data()}, Ready: s.ready,
	})
}

// ready reads the last line of the server's own file about itself.
func (s *Server) ready() bool {
	content, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	lines := strings.Split(string(content), "\n")
	return err == nil && len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

// Stop ends the server at once, with all its sessions, as an administrator would. A stopped one stays so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.process != nil {
		s.process.Stop(t)
		s.process = nil
	}
}

// Restart stops the server and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// Kill ends the server's processes without notice, as a crash would. It can be started again.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil {
		t.Fatal(err)
	}
	s.process.Kill(t, pid, syscall.SIGQUIT)
	s.process = nil
}

// Exec runs SQL as the superuser and returns what it prints: values without decoration, one row a line.
func (s *Server) Exec(t testing.TB, sql string) string {
	t.Helper()
	return s.ExecIn(t, "postgres", sql)
}

// ExecIn is Exec in another database than "postgres".
func (s *Server) ExecIn(t testing.TB, database, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), realserver.Timeout)
	defer cancel()
	_, port, _ := net.SplitHostPort(s.Addr)
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
		"-h", s.socket, "-p", port, "-U", superuser, "-d", database)
	cmd.Env = realserver.Environment()
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("running %q: %v: %s", sql, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Log returns what the server has logged. It logs every statement.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(s.logFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
