//go:build unix

package realserver

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreePort returns a port of 127.0.0.1 on which nobody listens, and which the system gives to nobody else as long as
// this process runs. A server that is told the number can listen there, also again after its end: the port is bound by
// a socket that does not listen, which stands in the way of those only who do not set SO_REUSEADDR (socket(7)). All
// servers set it.
func FreePort() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) // kept until the process ends
	if err != nil {
		return 0, fmt.Errorf("reserving a port: %w", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, fmt.Errorf("reserving a port: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("reserving a port: %w", err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("reserving a port: %w", err)
	}
	return address.(*unix.SockaddrInet4).Port, nil
}
