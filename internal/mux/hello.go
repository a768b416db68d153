// Package mux looks at the first bytes of a connection and hands the connection on as if unread.
package mux

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Limits of what a stranger may send before it is known what it wants (RFC 8446, section 4.1.2, sets
// none; these are far above what real clients send).
const (
	MaxHello     = 64 << 10 // bytes until the ClientHello must be complete
	maxProtocols = 16
	maxName      = 253
)

// Hello is what a ClientHello says before anything is answered.
type Hello struct {
	ServerName string   // SNI as sent, empty when absent
	Protocols  []string // ALPN, in the client's order
	Raw        []byte   // every byte read from the connection so far
}

var errSeen = errors.New("hello seen")

// ReadHello reads a ClientHello, however many records and segments it comes in, and answers nothing.
// The caller sets the deadline. Raw holds prefix and all bytes read.
func ReadHello(conn net.Conn, prefix []byte) (*Hello, error) {
	tap := &tap{Conn: conn, replay: prefix, seen: append([]byte(nil), prefix...)}
	hello := &Hello{}
	err := tls.Server(tap, &tls.Config{
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello.ServerName = info.ServerName
			hello.Protocols = info.SupportedProtos
			return nil, errSeen
		},
	}).Handshake()
	if !errors.Is(err, errSeen) {
		return nil, fmt.Errorf("reading ClientHello: %w", err)
	}
	if len(hello.ServerName) > maxName || len(hello.Protocols) > maxProtocols {
		return nil, errors.New("ClientHello has an overlong name or protocol list")
	}
	hello.Raw = tap.seen
	return hello, nil
}

// tap keeps what is read and swallows what is written.
type tap struct {
	net.Conn
	replay []byte
	seen   []byte
}

func (t *tap) Read(p []byte) (int, error) {
	if len(t.replay) > 0 {
		n := copy(p, t.replay)
		t.replay = t.replay[n:]
		return n, nil
	}
	room := MaxHello - len(t.seen)
	if room <= 0 {
		return 0, io.ErrShortBuffer
	}
	n, err := t.Conn.Read(p[:min(len(p), room)])
	t.seen = append(t.seen, p[:n]...)
	return n, err
}

func (t *tap) Write(p []byte) (int, error)      { return len(p), nil }
func (t *tap) SetDeadline(time.Time) error      { return nil }
func (t *tap) SetWriteDeadline(time.Time) error { return nil }
func (t *tap) Close() error                     { return nil }

// Conn is a connection whose first bytes were read and are given back. The prefix is read first, then
// the connection itself.
type Conn struct {
	net.Conn
	prefix []byte
}

// Unread returns a connection that yields prefix before everything else.
func Unread(conn net.Conn, prefix []byte) *Conn { return &Conn{Conn: conn, prefix: prefix} }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(p, c.prefix)
		if c.prefix = c.prefix[n:]; len(c.prefix) == 0 {
			c.prefix = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite passes a half-close on.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// Split returns the connection beneath and the bytes that were read from it and not given back yet. The
// Conn must not be used afterwards.
func (c *Conn) Split() (net.Conn, []byte) { return c.Conn, c.prefix }
