// Package pgtest is a small PostgreSQL server for tests: real clients can log in to it, and it does what it is
// told, right or wrong. It is imported by tests only.
package pgtest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/bell"
	"sallyport/internal/ca"
	"sallyport/internal/engine/testserver"
	"sallyport/internal/pgwire"
)

// The key that the server gives to every client.
const (
	ProcessID = 4711
	Secret    = "\x01\x02\x03\x04"
)

// Options replace what the server does by itself. The zero value is a server that logs everybody in and
// answers every statement with one row.
type Options struct {
	// NoNames has the server's certificate say its name in the common name only, as those of RDS once did.
	NoNames bool
	// BeforeTLS is called in place of the answer to the request for TLS; TLS follows if it returns true.
	BeforeTLS func(net.Conn) bool
	// Login is called in place of the answer to the startup message; commands follow if it returns true.
	Login func(*Conn) bool
	// Command is called for each message; it is answered in the usual way if it returns false.
	Command func(*Conn, pgproto3.FrontendMessage) (answered bool)
	// Trace gets the conversation after the startup message, as text.
	Trace io.Writer
	// Relay is called after the login in place of reading messages.
	Relay func(*Conn)
}

// Server is a running server.
type Server struct {
	*testserver.Server
	Authority *ca.Authority // that signed its certificate

	options Options
	config  *tls.Config
	news    bell.Bell // of what is seen and cancelled

	mu      sync.Mutex
	seen    []string          // guarded by mu
	cancels int               // guarded by mu
	startup map[string]string // of the last login; guarded by mu
}

// Conn is a connection that is being served.
type Conn struct {
	*tls.Conn
	*pgproto3.Backend
	Server *Server
}

// Start starts a server on a loopback port, and stops it when the test is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	authority := testserver.NewAuthority(t, ca.DatabaseCA)
	request := ca.Request{Subject: pkix.Name{CommonName: "pgtest"}, Hosts: []string{"127.0.0.1", "localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if options.NoNames {
		request.Subject.CommonName, request.Hosts = "localhost", nil
	}
	s := &Server{
		Authority: authority, options: options,
		config: &tls.Config{Certificates: []tls.Certificate{*testserver.Issue(t, authority, request)}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12},
	}
	s.Server = testserver.Start(t, s.serve)
	return s
}

// Seen returns the statements that have arrived, of Query and Execute messages.
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Cancels returns how many cancel requests with the right key have arrived.
func (s *Server) Cancels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancels
}

// Startup returns the parameters of the last login.
func (s *Server) Startup() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startup
}

// Changed returns a channel that is closed when a statement or a cancel request arrives.
func (s *Server) Changed() <-chan struct{} {
	return s.news.Changed()
}

func (s *Server) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.news.Ring()
}

func (s *Server) serve(raw net.Conn) {
	if code, _, err := readPacket(raw); err != nil || code != pgwire.CodeSSLRequest {
		return
	}
	if s.options.BeforeTLS != nil {
		if !s.options.BeforeTLS(raw) {
			return
		}
	} else if _, err := raw.Write([]byte{'S'}); err != nil {
		return
	}
	conn := tls.Server(raw, s.config)
	code, body, err := readPacket(conn)
	switch {
	case err != nil:
	case code == pgwire.CodeCancelRequest:
		if string(body) == string(binary.BigEndian.AppendUint32(nil, ProcessID))+Secret {
			s.note(func() { s.cancels++ })
		}
	default:
		c := &Conn{Conn: conn, Backend: pgproto3.NewBackend(conn, conn), Server: s}
		if s.options.Trace != nil {
			c.Trace(s.options.Trace, pgproto3.TracerOptions{SuppressTimestamps: true, RegressMode: true})
		}
		c.run(body)
		_ = conn.Close()
	}
}

func readPacket(r io.Reader) (code uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > 10_000 {
		return 0, nil, errors.New("bad length")
	}
	body = make([]byte, size-8)
	_, err = io.ReadFull(r, body)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

func (c *Conn) run(startup []byte) {
	message := &pgproto3.StartupMessage{}
	if err := message.Decode(append(binary.BigEndian.AppendUint32(nil, pgproto3.ProtocolVersion30), startup...)); err != nil {
		return
	}
	c.Server.note(func() { c.Server.startup = message.Parameters })
	if c.Server.options.Login != nil {
		if !c.Server.options.Login(c) {
			return
		}
	} else if c.LogIn() != nil {
		return
	}
	if c.Server.options.Relay != nil {
		c.Server.options.Relay(c)
		return
	}
	c.serve()
}

// LogIn tells the client that it is logged in.
func (c *Conn) LogIn() error {
	c.Send(&pgproto3.AuthenticationOk{})
	c.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "15.0"})
	c.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	c.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	c.Send(&pgproto3.BackendKeyData{ProcessID: ProcessID, SecretKey: []byte(Secret)})
	c.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return c.Backend.Flush()
}
