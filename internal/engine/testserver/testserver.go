// Package testserver is what the small servers of the engines' tests have in common: a listener on loopback with which its
// connections end, and certificates. It is imported by tests only.
package testserver

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync"
	"testing"
	"time"

	"sallyport/internal/ca"
)

// Server is a listener with the connections that it has taken.
type Server struct {
	Addr string // host:port

	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
}

// Start has each connection served in a goroutine of its own, after which it is closed. When the test is over, or Stop is
// called, no more are taken and all are broken off.
func Start(t testing.TB, serve func(net.Conn)) *Server {
	t.Helper()
	s := &Server{conns: make(map[net.Conn]struct{})}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Addr = s.listener.Addr().String()
	s.running.Go(func() { s.accept(serve) })
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) accept(serve func(net.Conn)) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			serve(conn)
		})
	}
}

// Stop closes the listener and all connections, and returns when nothing is left of the server.
func (s *Server) Stop() {
	_ = s.listener.Close()
	s.Drop()
	s.running.Wait()
}

// Finish takes no more connections and returns when those that are open have come to their end.
func (s *Server) Finish() {
	_ = s.listener.Close()
	s.running.Wait()
}

// Drop closes all connections without a word.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// NewAuthority returns an authority that nobody else has.
func NewAuthority(t testing.TB, typ ca.Type) *ca.Authority {
	t.Helper()
	authority, err := ca.New(typ, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// Certificate returns a certificate of a server at the hosts or, without any, of a client, which ends in an hour.
func Certificate(t testing.TB, authority *ca.Authority, name string, hosts ...string) *tls.Certificate {
	t.Helper()
	usage := x509.ExtKeyUsageServerAuth
	if len(hosts) == 0 {
		usage = x509.ExtKeyUsageClientAuth
	}
	return Issue(t, authority, ca.Request{Subject: pkix.Name{CommonName: name}, Hosts: hosts, ExtKeyUsage: []x509.ExtKeyUsage{usage}})
}

// Issue returns a certificate as requested, of a new key, which ends in an hour.
func Issue(t testing.TB, authority *ca.Authority, request ca.Request) *tls.Certificate {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	request.PublicKey, request.NotAfter = key.Public(), time.Now().Add(time.Hour)
	der, err := authority.Sign(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
