//go:build unix

// Package pgserver starts real PostgreSQL servers for tests. It is imported by tests only.
//
// A server listens on a loopback port with TLS and accepts nothing there but client certificates of its own
// authority. Administration goes through a Unix socket, as the superuser.
package pgserver

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/ca"
)

const (
	superuser    = "postgres"
	startTimeout = 30 * time.Second
	poll         = 5 * time.Millisecond
)

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	// HBA are the lines of pg_hba.conf for connections through the network; default: a client certificate
	// for everybody.
	HBA []string
	// Settings are lines of postgresql.conf.
	Settings []string
	// DatabaseCA signs the server's certificate, ClientCA is whom it trusts; default: new ones.
	DatabaseCA, ClientCA *ca.Authority
	// ServerNames are what the server's certificate is for; default "localhost" and 127.0.0.1.
	ServerNames []string
	// CertFile, KeyFile and TrustFile are files to copy instead of making certificates: what the server
	// presents, and whose clients it accepts. All or none of them are set.
	CertFile, KeyFile, TrustFile string
}

// Server is a running PostgreSQL.
type Server struct {
	Addr       string // host:port, the same after a restart
	DatabaseCA *ca.Authority
	ClientCA   *ca.Authority

	dir     string
	socket  string
	bin     string
	account *account
	alive   io.Closer // the server ends when it is closed
	exited  chan struct{}
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
			t.Logf("end of the log of PostgreSQL at %s:\n%s", s.Addr, tail(s.Log(t)))
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing PostgreSQL: %v", err)
		}
	})
	s.Start(t)
	return s
}

func newServer(options *Options) (*Server, error) {
	s := &Server{DatabaseCA: options.DatabaseCA, ClientCA: options.ClientCA}
	var err error
	if s.bin, err = findBinaries(); err != nil {
		return nil, err
	}
	if s.account, err = findAccount(); err != nil {
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
	if out, err := exec.Command("cp", "-a", "--reflink=auto", template, s.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("copying the template: %w: %s", err, out)
	}
	if err := os.Mkdir(s.socket, 0o755); err != nil {
		return err
	}
	if err := s.writeCertificates(options); err != nil {
		return err
	}
	port, err := freePort()
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
	return s.account.own(s.dir, s.socket)
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
	return s.account.own(path)
}

func (s *Server) writeCertificates(options *Options) error {
	if options.CertFile != "" {
		return s.copyCertificates(options)
	}
	var err error
	now := time.Now()
	if s.DatabaseCA == nil {
		if s.DatabaseCA, err = ca.New(ca.DatabaseCA, "test", now); err != nil {
			return err
		}
	}
	if s.ClientCA == nil {
		if s.ClientCA, err = ca.New(ca.ClientCA, "test", now); err != nil {
			return err
		}
	}
	names := options.ServerNames
	if names == nil {
		names = []string{"localhost", "127.0.0.1"}
	}
	cert, err := issue(s.DatabaseCA, "postgres", names, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	key, err := ca.EncodeKey(cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return err
	}
	if err := s.write("server.key", key); err != nil {
		return err
	}
	if err := s.write("server.crt", ca.EncodeCertificate(cert.Certificate[0])); err != nil {
		return err
	}
	return s.write("clients.crt", s.ClientCA.CertPEM())
}

func (s *Server) copyCertificates(options *Options) error {
	for name, path := range map[string]string{"server.crt": options.CertFile, "server.key": options.KeyFile, "clients.crt": options.TrustFile} {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := s.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// ClientCertificate returns a certificate that opens the account, of a server that made its certificates itself.
func (s *Server) ClientCertificate(t testing.TB, account string) *tls.Certificate {
	t.Helper()
	cert, err := issue(s.ClientCA, account, nil, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatalf("signing a client certificate: %v", err)
	}
	return cert
}

func issue(authority *ca.Authority, name string, hosts []string, usage x509.ExtKeyUsage) (*tls.Certificate, error) {
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, err
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: pkix.Name{CommonName: name}, Hosts: hosts,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotAfter: time.Now().Add(24 * time.Hour),
	}, time.Now())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// watchdog runs the server until that ends, or ends it when the input ends, which happens even when the test
// process is killed.
const watchdog = `exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read _ <&3; kill -INT $server; } 2>/dev/null & reader=$!
wait $server
kill $reader 2>/dev/null`

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", watchdog, "sh", filepath.Join(s.bin, "postgres"), "-D", s.data())
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = s.account.attributes()
	if s.alive, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	deadline := time.Now().Add(startTimeout)
	for !s.ready() {
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not start; its log:\n%s", s.Log(t))
		}
		time.Sleep(poll)
	}
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
	if s.alive == nil {
		return
	}
	_ = s.alive.Close()
	s.wait(t)
}

func (s *Server) wait(t testing.TB) {
	t.Helper()
	s.alive = nil
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		t.Errorf("PostgreSQL at %s does not stop", s.Addr)
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
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	alive := s.alive
	s.wait(t)
	_ = alive.Close()
}

// Exec runs SQL as the superuser and returns what it prints: values without decoration, one row a line.
func (s *Server) Exec(t testing.TB, sql string) string {
	t.Helper()
	return s.ExecIn(t, "postgres", sql)
}

// ExecIn is Exec in another database than "postgres".
func (s *Server) ExecIn(t testing.TB, database, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, port, _ := net.SplitHostPort(s.Addr)
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
		"-h", s.socket, "-p", port, "-U", superuser, "-d", database)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("running %q: %v: %s", sql, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// tail returns the last lines of a log, none of them long.
func tail(log string) string {
	const lines, width = 60, 200
	all := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), width)]
	}
	return strings.Join(all, "\n")
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
