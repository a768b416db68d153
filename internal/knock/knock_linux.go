package knock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// holdBack has the kernel hold back the acknowledgment that completes the connection (tcp(7), TCP_QUICKACK).
func holdBack(conn syscall.RawConn) error {
	var err error
	if controlErr := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) }); controlErr != nil {
		return controlErr
	}
	return err
}
