// Package mongotest is a small MongoDB server for tests: real clients can log in to it with a certificate, and it does
// what it is told, right or wrong. It is imported by tests only.
package mongotest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/ca"
	"sallyport/internal/mongowire"
)

// Options replace what the server does by itself. The zero value is a server that logs everybody in whose certificate its
// client authority has signed, and answers every command with ok.
type Options struct {
	// Hello changes what the server says of itself.
	Hello func(hello bson.D) bson.D
	// Authenticate answers a login in place of the server.
	Authenticate func(*Conn, Message) (answered bool)
	// Command is called for each message after the login; it is answered in the usual way if it returns false.
	Command func(*Conn, Message) (answered bool)
	// Any is called for each message, also before the login.
	Any func(*Conn, Message) (answered bool)
	// Trace gets what the server reads and writes.
	Trace io.Writer
}

// Server is a running server.
type Server struct {
	Addr      string
	Authority *ca.Authority // that signed its certificate
	ClientCA  *ca.Authority // whose clients it logs in

	options  Options
	config   *tls.Config
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu
	seen   []Message             // guarded by mu
	logins []string              // names in certificates; guarded by mu
}

// Start starts a server on a loopback port, and stops it when the test is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	return StartFor(t, options, newAuthority(t, ca.DatabaseCA), newAuthority(t, ca.ClientCA))
}

// StartOpen is Start for a server that wants no certificates of clients, so that they have to log in otherwise.
func StartOpen(t testing.TB, options Options) *Server {
	t.Helper()
	return start(t, options, newAuthority(t, ca.DatabaseCA), nil)
}

// StartFor is Start with authorities: of the server's certificate, and of its clients'.
func StartFor(t testing.TB, options Options, authority, clients *ca.Authority) *Server {
	t.Helper()
	return start(t, options, authority, clients)
}

func start(t testing.TB, options Options, authority, clients *ca.Authority) *Server {
	t.Helper()
	cert := issue(t, authority, "mongotest", x509.ExtKeyUsageServerAuth)
	s := &Server{
		Authority: authority, ClientCA: clients, options: options, conns: make(map[net.Conn]struct{}),
		config: &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12},
	}
	if clients != nil {
		s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.config.ClientCAs.AddCert(clients.Cert)
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Addr = s.listener.Addr().String()
	s.running.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

func newAuthority(t testing.TB, typ ca.Type) *ca.Authority {
	t.Helper()
	authority, err := ca.New(typ, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// ClientCertificate returns a certificate that opens the account.
func (s *Server) ClientCertificate(t testing.TB, account string) *tls.Certificate {
	t.Helper()
	return issue(t, s.ClientCA, account, x509.ExtKeyUsageClientAuth)
}

func issue(t testing.TB, authority *ca.Authority, name string, usage x509.ExtKeyUsage) *tls.Certificate {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: key.Public(), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotAfter: time.Now().Add(time.Hour)}
	if usage == x509.ExtKeyUsageServerAuth {
		request.Hosts = []string{"127.0.0.1", "localhost"}
	}
	der, err := authority.Sign(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.note(func() { s.conns[conn] = struct{}{} })
		s.running.Go(func() {
			defer s.note(func() { delete(s.conns, conn) })
			defer conn.Close()
			s.serve(conn)
		})
	}
}

func (s *Server) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Stop closes the listener and all connections, and returns when nothing is left of the server.
func (s *Server) Stop() {
	_ = s.listener.Close()
	s.Drop()
	s.running.Wait()
}

// Drop closes all connections without a word.
func (s *Server) Drop() {
	s.note(func() {
		for conn := range s.conns {
			_ = conn.Close()
		}
	})
}

// Seen returns the commands that have arrived after logins.
func (s *Server) Seen() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Names returns the names of the commands that have arrived after logins.
func (s *Server) Names() []string {
	var names []string
	for _, m := range s.Seen() {
		names = append(names, m.Name())
	}
	return names
}

// Logins returns the common names of the certificates that have logged in.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logins)
}

// Message is an OP_MSG that has arrived.
type Message struct {
	Header mongowire.Header
	Flags  uint32
	Body   bson.Raw
	Msg    mongowire.Msg
	Raw    []byte
}

// Name returns the command.
func (m Message) Name() string {
	elements, err := m.Body.Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

// JSON returns the whole message as text.
func (m Message) JSON() string { return string(m.Msg.AppendJSON(nil)) }
