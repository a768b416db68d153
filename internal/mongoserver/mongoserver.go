//go:build unix

// Package mongoserver starts servers of the MongoDB protocol for tests: FerretDB, an independent implementation over
// SQLite, with a front that logs clients in by their certificates, which FerretDB cannot. It is imported by tests only.
//
// FerretDB is built from a Go module of its own, once for all tests, because it brings more modules than all else here.
package mongoserver

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
)

const (
	startTimeout = 30 * time.Second
	poll         = 5 * time.Millisecond
)

// Options say what is special about a server. The zero value is a good one.
type Options struct {
	Accounts []string // that certificates open; default "app"
	// DatabaseCA signs the server's certificate, ClientCA is whom it trusts; default: new ones.
	DatabaseCA, ClientCA *ca.Authority
	// CertFile, KeyFile and TrustFile are files to use instead of making certificates: what the server presents, and whose
	// clients it accepts. All or none of them are set.
	CertFile, KeyFile, TrustFile string
}

// Server is a running server.
type Server struct {
	Addr       string // host:port, the same after a restart
	DatabaseCA *ca.Authority
	ClientCA   *ca.Authority

	dir    string
	args   []string
	binary string
	log    bytes.Buffer // once it has ended
	alive  io.Closer    // the server ends when it is closed
	exited chan struct{}
}

// Start starts a server and stops it when the test is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("building FerretDB: %v", err)
	}
	s := &Server{DatabaseCA: options.DatabaseCA, ClientCA: options.ClientCA, binary: binary}
	// A short path, because those of Unix sockets have at most 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "mongoserver-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("log of FerretDB at %s:\n%s", s.Addr, s.log.String())
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("removing FerretDB: %v", err)
		}
	})
	if err := s.prepare(&options); err != nil {
		t.Fatalf("preparing FerretDB: %v", err)
	}
	s.Start(t)
	return s
}

// build returns the path of the command, which is kept for later runs. Several processes may make it at once: one wins.
func build() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding this module: %w", err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "internal/mongoserver/ferretdb")
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go", "front.go"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		sum.Write(content)
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("mongoserver-ferretdb-%s-%d", hex.EncodeToString(sum.Sum(nil)[:8]), os.Getuid()))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	made := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", made, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Rename(made, path)
}

func (s *Server) prepare(options *Options) error {
	files := []string{options.CertFile, options.KeyFile, options.TrustFile}
	if options.CertFile == "" {
		var err error
		if files, err = s.writeCertificates(); err != nil {
			return err
		}
	}
	accounts := options.Accounts
	if accounts == nil {
		accounts = []string{"app"}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Addr = listener.Addr().String()
	s.args = []string{"-listen=" + s.Addr, "-dir=" + s.dir, "-cert=" + files[0], "-key=" + files[1], "-ca=" + files[2], "-accounts=" + strings.Join(accounts, ",")}
	return listener.Close()
}

func (s *Server) writeCertificates() ([]string, error) {
	now := time.Now()
	var err error
	if s.DatabaseCA == nil {
		if s.DatabaseCA, err = ca.New(ca.DatabaseCA, "test", now); err != nil {
			return nil, err
		}
	}
	if s.ClientCA == nil {
		if s.ClientCA, err = ca.New(ca.ClientCA, "test", now); err != nil {
			return nil, err
		}
	}
	cert, err := issue(s.DatabaseCA, "mongodb", []string{"localhost", "127.0.0.1"}, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	key, err := ca.EncodeKey(cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return nil, err
	}
	var files []string
	for name, content := range map[string][]byte{"1.crt": ca.EncodeCertificate(cert.Certificate[0]), "2.key": key, "3.cas": s.ClientCA.CertPEM()} {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"1.crt", "2.key", "3.cas"} {
		files = append(files, filepath.Join(s.dir, name))
	}
	return files, nil
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

// Start starts a stopped server and returns when it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(s.binary, s.args...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	var err error
	if s.alive, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting FerretDB: %v", err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(poll) {
		if s.ready() {
			return
		}
		select {
		case <-exited:
			t.Fatalf("FerretDB has ended at once:\n%s", s.log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("FerretDB does not start")
		}
	}
}

// ready reports whether both the front and FerretDB behind it listen.
func (s *Server) ready() bool {
	for _, at := range [][2]string{{"unix", filepath.Join(s.dir, "s")}, {"tcp", s.Addr}} {
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
	if s.alive == nil {
		return
	}
	_ = s.alive.Close()
	s.alive = nil
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		t.Errorf("FerretDB at %s does not stop", s.Addr)
	}
}
