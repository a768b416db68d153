// Package redistest is the smallest server that a client of Redis can log in to, and one that can be told to misbehave.
// It is imported by tests only.
package redistest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"sallyport/internal/ca"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/engine/testserver"
)

// Server is a server on a loopback port, with TLS.
type Server struct {
	*testserver.Server
	Authority *ca.Authority // of its certificate

	config *tls.Config
	answer Answer

	mu      sync.Mutex
	clients map[*tls.Conn]struct{} // guarded by mu
}

// Answer returns what is said to a command, as the protocol has it; nil hangs up. It is called in a goroutine of the
// connection.
type Answer func(args []string) []byte

// Start starts a server, and stops it when the test is over.
func Start(t testing.TB, answer Answer) *Server {
	t.Helper()
	authority := testserver.NewAuthority(t, ca.DatabaseCA)
	s := &Server{
		Authority: authority, answer: answer, clients: make(map[*tls.Conn]struct{}),
		config: &tls.Config{Certificates: []tls.Certificate{*testserver.Certificate(t, authority, "redis", "127.0.0.1")}},
	}
	s.Server = testserver.Start(t, s.serve)
	return s
}

func (s *Server) serve(raw net.Conn) {
	conn := tls.Server(raw, s.config)
	s.mu.Lock()
	s.clients[conn] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.clients, conn)
		s.mu.Unlock()
	}()
	var p resp.Parser
	var data []byte
	buf := make([]byte, 64<<10)
	for {
		size, _, err := p.Parse(data, resp.DefaultLimits)
		if err != nil {
			return
		}
		if size == 0 {
			if len(data) == 0 {
				p, data = resp.Parser{}, nil // so that what tests find in use is not ours
			}
			n, err := conn.Read(buf)
			if data = append(data, buf[:n]...); err != nil {
				return
			}
			continue
		}
		args := make([]string, len(p.Args))
		for i, arg := range p.Args {
			args[i] = string(arg)
		}
		data = data[size:]
		answer := s.answer(args)
		if answer == nil {
			return
		}
		if _, err := conn.Write(answer); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

// Say says something to all clients that nobody has asked for.
func (s *Server) Say(t testing.TB, message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.clients {
		if _, err := conn.Write(message); err != nil {
			t.Errorf("saying something: %v", err)
		}
	}
}
