// Package knock finds out whether somebody listens at an address, without anybody there being told of a visitor.
//
// A connection that is opened and closed is not nothing to all servers: MySQL counts it as a failed one, and closes itself to
// the host after some (max_connect_errors); others complain in their logs. So the connection is given up while it is being
// made: once the kernel at the other end has agreed, it is reset, before the answer that would complete it. The server is never
// told (TCP, RFC 9293 section 3.5: in SYN-RECEIVED a reset returns to LISTEN). That is so on Linux, and while the answer to
// the other end's agreement can be held back, which is some tens of milliseconds; otherwise it is a connection that is reset at once.
package knock

import (
	"context"
	"net"
	"syscall"
)

// Knocker returns a function that knocks at an address, host:port, with connections like those of the dialer. It returns the
// errors of the dialer, and nil if somebody listens.
func Knocker(like *net.Dialer) func(ctx context.Context, address string) error {
	dialer := *like
	control, controlContext := like.Control, like.ControlContext
	dialer.Control = nil
	dialer.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		var err error
		switch {
		case controlContext != nil:
			err = controlContext(ctx, network, address, conn)
		case control != nil:
			err = control(network, address, conn)
		}
		if err != nil {
			return err
		}
		return holdBack(conn)
	}
	return func(ctx context.Context, address string) error {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset instead of a goodbye
		}
		return conn.Close()
	}
}
