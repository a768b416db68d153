// Package mysqltest is a small MySQL server for tests: real clients can log in to it, and it does what it is told, right
// or wrong. It is imported by tests only.
package mysqltest

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"sallyport/internal/ca"
	"sallyport/internal/engine/testserver"
	"sallyport/internal/mysqlwire"
)

// Connection is the number that the server gives to every client.
const Connection = 4711

// Flags are what the server can do by itself.
const Flags = mysqlwire.LongPassword | mysqlwire.FoundRows | mysqlwire.LongFlag | mysqlwire.ConnectWithDB | mysqlwire.Protocol41 |
	mysqlwire.TLS | mysqlwire.Transactions | mysqlwire.SecureConnection | mysqlwire.MultiStatements | mysqlwire.MultiResults |
	mysqlwire.PSMultiResults | mysqlwire.PluginAuth | mysqlwire.ConnectAttrs | mysqlwire.LongAuthData

// Options replace what the server does by itself. The zero value is a server that logs everybody in and answers every
// statement with one row.
type Options struct {
	// Greeting changes the greeting.
	Greeting func(*mysqlwire.Greeting)
	// BeforeTLS is called in place of the greeting; TLS follows if it returns true.
	BeforeTLS func(net.Conn) bool
	// Login is called in place of the answer to the client's account; commands follow if it returns true.
	Login func(*Conn) bool
	// Command is called for each command; it is answered in the usual way if it returns false.
	Command func(c *Conn, command mysqlwire.Command, body []byte) (answered bool)
	// Account is whom the server takes a client for, name@host; default: the account that the client names. The agent's question for it
	// is not among what was seen.
	Account string
	// Trace gets the conversation behind the login, as text.
	Trace io.Writer
}

// Server is a running server.
type Server struct {
	*testserver.Server
	Authority *ca.Authority // that signed its certificate

	options Options
	config  *tls.Config

	mu   sync.Mutex
	seen []string // guarded by mu
	last *mysqlwire.HandshakeResponse
}

// Conn is a connection that is being served.
type Conn struct {
	*tls.Conn
	Server   *Server
	Account  *mysqlwire.HandshakeResponse
	Sequence byte // of the next packet
}

// Start starts a server on a loopback port, and stops it when the test is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	authority := testserver.NewAuthority(t, ca.DatabaseCA)
	cert := testserver.Certificate(t, authority, "mysqltest", "127.0.0.1", "localhost")
	s := &Server{
		Authority: authority, options: options,
		config: &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12},
	}
	s.Server = testserver.Start(t, s.serve)
	return s
}

// Seen returns the statements that have arrived.
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Last returns what the last client that got behind TLS said of itself; nil if there was none.
func (s *Server) Last() *mysqlwire.HandshakeResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Greeting returns the server's own greeting.
func (s *Server) Greeting() *mysqlwire.Greeting {
	g := &mysqlwire.Greeting{Version: "8.0.36", Connection: Connection, Flags: Flags, Collation: 45, Status: 2,
		Nonce: []byte("0123456789abcdefghij"), Method: mysqlwire.NativePassword}
	if s.options.Greeting != nil {
		s.options.Greeting(g)
	}
	return g
}

func (s *Server) serve(raw net.Conn) {
	g := s.Greeting()
	if s.options.BeforeTLS != nil {
		if !s.options.BeforeTLS(raw) {
			return
		}
	} else if _, err := raw.Write(mysqlwire.AppendPacket(nil, 0, g.Append(nil))); err != nil {
		return
	}
	request, _, err := mysqlwire.ReadPacket(raw, 64)
	if err != nil {
		return
	}
	if _, err := mysqlwire.ParseTLSRequest(request); err != nil {
		return
	}
	conn := tls.Server(raw, s.config)
	response, sequence, err := mysqlwire.ReadPacket(conn, 1<<20)
	if err != nil {
		return
	}
	account, err := mysqlwire.ParseResponse(response, g.Flags)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.last = account
	s.mu.Unlock()
	c := &Conn{Conn: conn, Server: s, Account: account, Sequence: sequence + 1}
	c.run()
	_ = conn.Close()
}

func (c *Conn) run() {
	if c.Server.options.Login != nil {
		if !c.Server.options.Login(c) {
			return
		}
	} else if c.OK() != nil {
		return
	}
	for first := true; ; first = false {
		payload, _, err := mysqlwire.ReadPacket(c, 1<<24)
		if err != nil || len(payload) == 0 {
			return
		}
		c.Sequence = 1
		command, body := mysqlwire.Command(payload[0]), payload[1:]
		c.trace("C", 0, payload)
		if first && string(body) == "SELECT CURRENT_USER()" {
			if c.Row(cmp.Or(c.Server.options.Account, c.Account.User+"@%")) != nil {
				return
			}
			continue
		}
		if command == mysqlwire.ComQuit {
			return
		}
		if c.Server.options.Command != nil && c.Server.options.Command(c, command, body) {
			continue
		}
		if c.usual(command, body) != nil {
			return
		}
	}
}

// usual answers a statement with its own text, and anything else with OK.
func (c *Conn) usual(command mysqlwire.Command, body []byte) error {
	if command != mysqlwire.ComQuery {
		return c.OK()
	}
	c.Server.mu.Lock()
	c.Server.seen = append(c.Server.seen, string(body))
	c.Server.mu.Unlock()
	return c.Row(string(body))
}

// Row answers with one row of one text.
func (c *Conn) Row(text string) error {
	return c.Packets([]byte{1}, Column("statement"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}, append(lengthOf(text), text...), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
}

func lengthOf(text string) []byte {
	if len(text) < 0xfb {
		return []byte{byte(len(text))}
	}
	return []byte{0xfd, byte(len(text)), byte(len(text) >> 8), byte(len(text) >> 16)}
}

// Column returns the definition of a column of texts ("Protocol::ColumnDefinition41").
func Column(name string) []byte {
	def := append([]byte("\x03def\x00\x00\x00"), byte(len(name)))
	def = append(append(def, name...), 0, 0x0c, 45, 0, 0, 1, 0, 0, 0xfd, 0, 0, 0, 0, 0)
	return def
}

// OK sends an OK.
func (c *Conn) OK() error { return c.Packets(mysqlwire.AppendOK(nil, 2)) }

// Fail sends an error message.
func (c *Conn) Fail(code uint16, state, text string) error {
	e := mysqlwire.ServerError{Code: code, State: state, Message: text}
	return c.Packets(e.Append(nil))
}

// Packets sends payloads, numbered, in one write.
func (c *Conn) Packets(payloads ...[]byte) error {
	var all []byte
	for _, payload := range payloads {
		c.trace("S", c.Sequence, payload)
		all = mysqlwire.AppendPacket(all, c.Sequence, payload)
		c.Sequence++
	}
	_, err := c.Write(all)
	return err
}

// Note writes what a test has read by itself into the trace.
func (c *Conn) Note(side string, sequence byte, payload []byte) { c.trace(side, sequence, payload) }

func (c *Conn) trace(side string, sequence byte, payload []byte) {
	if c.Server.options.Trace != nil {
		fmt.Fprintf(c.Server.options.Trace, "%s %d %q\n", side, sequence, payload)
	}
}
