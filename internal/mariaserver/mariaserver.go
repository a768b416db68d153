//go:build unix

// Package mariaserver starts real MariaDB servers for tests. It is imported by tests only.
//
// A server listens on a loopback port with TLS. Accounts are made by the tests, such as ones that only a client
// certificate of the server's own authority opens. Administration goes through a Unix socket, as root without a password.
package mariaserver

import (
	"bytes"
	"context"
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

const binary = "/usr/sbin/mariadbd"

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	// Settings are lines of the section [mysqld].
	Settings []string
	realserver.Certificates
}

// Server is a running MariaDB.
type Server struct {
	Addr string // host:port, the same after a restart
	realserver.Authorities

	dir     string
	account *realserver.Account
	process *realserver.Process // nil while it is stopped
}

// Start starts a server and stops it when the test is over. Its log is shown if the test failed.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := newServer(&options)
	if err != nil {
		t.Fatalf("preparing MariaDB: %v", err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("end of the log of MariaDB at %s:\n%s", s.Addr, realserver.Tail(s.Log(t)))
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing MariaDB: %v", err)
		}
	})
	s.Start(t)
	return s
}

func newServer(options *Options) (*Server, error) {
	s := &Server{}
	var err error
	if s.account, err = realserver.FindAccount("mysql"); err != nil {
		return nil, err
	}
	template, err := s.template()
	if err != nil {
		return nil, err
	}
	// A short path, because those of Unix sockets have at most 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "mariaserver-"); err != nil {
		return nil, err
	}
	if err := s.prepare(template, options); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare(template string, options *Options) error {
	if err := realserver.Copy(template, s.path("data")); err != nil {
		return err
	}
	var err error
	if s.Authorities, err = options.Certificates.Write("mariadb", s.write); err != nil {
		return err
	}
	port, err := realserver.FreePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	settings := append([]string{
		"[mysqld]", "datadir=" + s.path("data"), "socket=" + s.Socket(), "pid-file=" + s.path("pid"),
		"tmpdir=" + s.dir, // of its own: a server that starts deletes the temporary tables that it finds, whosesoever they are
		"bind-address=127.0.0.1", "port=" + strconv.Itoa(port), "skip-name-resolve", "max_connections=200",
		"ssl-cert=" + s.path(realserver.CertFile), "ssl-key=" + s.path(realserver.KeyFile), "ssl-ca=" + s.path(realserver.TrustFile),
		"innodb_flush_log_at_trx_commit=0", "innodb_flush_method=nosync", "innodb_buffer_pool_size=32M",
		"general_log=1", "general_log_file=" + s.path("statements"),
	}, sizes...)
	settings = append(settings, options.Settings...)
	if err := s.write("my.cnf", []byte(strings.Join(settings, "\n")+"\n")); err != nil {
		return err
	}
	return s.account.Own(s.dir)
}

// sizes keep a server small on disk. They are the same for the template.
var sizes = []string{"innodb_log_file_size=4M", "innodb_data_file_path=ibdata1:4M:autoextend", "innodb_autoextend_increment=1", "aria_log_file_size=8M"}

// Socket returns the server's Unix socket, by which root needs no password.
func (s *Server) Socket() string { return s.path("socket") }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// write puts a file where the server, and nobody else, can read it.
func (s *Server) write(name string, content []byte) error {
	if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
		return err
	}
	return s.account.Own(s.path(name))
}

// template returns a fresh data directory to copy. It is made once for each version and account, and kept for later
// runs. Several processes may make it at once: one wins.
func (s *Server) template() (string, error) {
	version, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking MariaDB for its version, install the package mariadb-server: %w", err)
	}
	words := strings.Fields(string(version))
	path := filepath.Join("/tmp", fmt.Sprintf("mariaserver-template-%s-%d", words[min(2, len(words)-1)], os.Getuid()))
	if s.account.Owns(filepath.Join(path, "ibdata1")) {
		return path, nil
	}
	parent, err := os.MkdirTemp("/tmp", "mariaserver-install-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(parent)
	defaults, data := filepath.Join(parent, "my.cnf"), filepath.Join(parent, "data")
	if err := os.WriteFile(defaults, []byte("[mysqld]\ntmpdir="+parent+"\n"+strings.Join(sizes, "\n")+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := s.account.Own(parent, defaults); err != nil {
		return "", err
	}
	cmd := exec.Command("mariadb-install-db", "--defaults-file="+defaults, "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	cmd.Dir, cmd.Env = parent, realserver.Environment()
	cmd.SysProcAttr = s.account.Attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if err := os.Rename(data, path); err != nil && !s.account.Owns(filepath.Join(path, "ibdata1")) {
		return "", err
	}
	return path, nil
}

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := os.Remove(s.path("pid")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	s.process = realserver.Start(t, realserver.Command{
		Name: "MariaDB", Account: s.account, Dir: s.dir, Log: s.path("log"), Signal: "TERM",
		Args: []string{binary, "--defaults-file=" + s.path("my.cnf")}, Ready: s.ready,
	})
}

// ready finds out whether the server greets.
func (s *Server) ready() bool {
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	var header [5]byte
	_, err = conn.Read(header[:])
	return err == nil && header[4] == 10
}

// Stop ends the server with all its sessions, as an administrator would. A stopped one stays so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.process != nil {
		s.process.Stop(t)
		s.process = nil
	}
}

// Exec runs SQL as root and returns what it prints: values separated by tabs, one row a line.
func (s *Server) Exec(t testing.TB, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), realserver.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--batch", "--skip-column-names", "--user=root", "--socket="+s.Socket())
	cmd.Env = realserver.Environment()
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("running %q: %v: %s", sql, err, out)
	}
	return string(bytes.TrimSuffix(out, []byte("\n")))
}

// Log returns what the server has told about itself.
func (s *Server) Log(t testing.TB) string { return s.read(t, "log") }

// Statements returns the log of all logins and statements.
func (s *Server) Statements(t testing.TB) string { return s.read(t, "statements") }

func (s *Server) read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
