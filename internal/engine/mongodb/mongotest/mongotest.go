// Package mongotest is a small MongoDB server for tests: real clients can log in to it with a certificate, and it does
// what it is told, right or wrong. It is imported by tests only.
package mongotest

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/ca"
	"sallyport/internal/engine/testserver"
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
	*testserver.Server
	Authority *ca.Authority // that signed its certificate
	ClientCA  *ca.Authority // whose clients it logs in

	options Options
	config  *tls.Config

	mu     sync.Mutex
	seen   []Message // guarded by mu
	logins []string  // names in certificates; guarded by mu
}

// Start starts a server on a loopback port, and stops it when the test is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	return StartFor(t, options, testserver.NewAuthority(t, ca.DatabaseCA), testserver.NewAuthority(t, ca.ClientCA))
}

// StartOpen is Start for a server that wants no certificates of clients, so that they have to log in otherwise.
func StartOpen(t testing.TB, options Options) *Server {
	t.Helper()
	return StartFor(t, options, testserver.NewAuthority(t, ca.DatabaseCA), nil)
}

// StartFor is Start with authorities: of the server's certificate, and of its clients'.
func StartFor(t testing.TB, options Options, authority, clients *ca.Authority) *Server {
	t.Helper()
	cert := testserver.Certificate(t, authority, "mongotest", "127.0.0.1", "localhost")
	s := &Server{
		Authority: authority, ClientCA: clients, options: options,
		config: &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12},
	}
	if clients != nil {
		s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.config.ClientCAs.AddCert(clients.Cert)
	}
	s.Server = testserver.Start(t, s.serve)
	return s
}

// ClientCertificate returns a certificate that opens the account.
func (s *Server) ClientCertificate(t testing.TB, account string) *tls.Certificate {
	t.Helper()
	return testserver.Certificate(t, s.ClientCA, account)
}

func (s *Server) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
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
