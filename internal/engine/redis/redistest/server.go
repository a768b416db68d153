// Package redistest is the smallest server that a client of Redis can log in to, and one that can be told to misbehave.
// It is imported by tests only.
package redistest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/realserver"
)

// Server is a server on a loopback port, with TLS.
type Server struct {
	Addr      string
	Authority *ca.Authority // of its certificate

	listener net.Listener
	config   *tls.Config
	answer   Answer
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]*tls.Conn // what runs over each; guarded by mu
}

// Answer returns what is said to a command, as the protocol has it; nil hangs up. It is called in a goroutine of the
// connection.
type Answer func(args []string) []byte

// Start starts a server, and stops it when the test is over.
func Start(t testing.TB, answer Answer) *Server {
	t.Helper()
	s := &Server{answer: answer, conns: make(map[net.Conn]*tls.Conn)}
	var err error
	if s.Authority, err = ca.New(ca.DatabaseCA, "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	cert, err := realserver.Issue(s.Authority, "redis", []string{"127.0.0.1"}, x509.ExtKeyUsageServerAuth)
	if err != nil {
		t.Fatal(err)
	}
	s.config = &tls.Config{Certificates: []tls.Certificate{*cert}}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Addr = s.listener.Addr().String()
	s.running.Go(func() { s.accept(t) })
	t.Cleanup(func() {
		s.Stop()
		s.running.Wait()
	})
	return s
}

func (s *Server) accept(t testing.TB) {
	for {
		raw, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("accepting: %v", err)
			return
		}
		conn := tls.Server(raw, s.config)
		s.mu.Lock()
		s.conns[raw] = conn
		s.mu.Unlock()
		s.running.Go(func() { s.serve(raw, conn) })
	}
}

func (s *Server) serve(raw net.Conn, conn *tls.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, raw)
		s.mu.Unlock()
		_ = raw.Close()
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
	for _, conn := range s.conns {
		if _, err := conn.Write(message); err != nil {
			t.Errorf("saying something: %v", err)
		}
	}
}

// Drop breaks all connections off.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Stop accepts no more connections, and breaks all off.
func (s *Server) Stop() {
	_ = s.listener.Close()
	s.Drop()
}
