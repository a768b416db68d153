// Package splice copies two TCP connections into each other, in the kernel where the system can, and
// passes half-closes on.
package splice

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// Conn is what can be joined: a TCP connection, or anything that closes its directions apart.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Join copies a and b into each other until both directions have ended or one has failed, and returns
// the bytes that went each way and the first error. It closes both. To end a join early, close either
// connection.
func Join(a, b Conn) (aToB, bToA int64, err error) {
	defer a.Close()
	defer b.Close()
	var errAB, errBA error
	var wg sync.WaitGroup
	wg.Go(func() { bToA, errBA = oneWay(a, b) })
	aToB, errAB = oneWay(b, a)
	wg.Wait()
	return aToB, bToA, errors.Join(errAB, errBA)
}

// oneWay copies src to dst. At src's ordinary end it passes the half-close on; after an error it closes
// both, so that the other direction ends too.
func oneWay(dst, src Conn) (n int64, err error) {
	if n, err = copyStream(dst, src); err == nil {
		if err = dst.CloseWrite(); err == nil || isGone(err) {
			return n, nil
		}
	}
	src.Close()
	dst.Close()
	if isGone(err) {
		err = nil
	}
	return n, err
}

// isGone reports whether the error only says that a connection was closed meanwhile.
func isGone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOTCONN)
}

// copyBuffered copies through a pooled buffer, for connections that the kernel cannot join.
func copyBuffered(dst io.Writer, src io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, *buf)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}
