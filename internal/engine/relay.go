package engine

import (
	"fmt"
	"net"
	"runtime/debug"
	"time"
)

// Guard runs one direction of a relay and turns a panic into an error, so that it ends one session only.
func Guard(direction func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("relay panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	return direction()
}

// Interrupt unblocks whoever reads from the connections. What is being written may be completed within the patience.
func Interrupt(patience time.Duration, conns ...net.Conn) {
	past, soon := time.Unix(1, 0), time.Now().Add(patience)
	for _, conn := range conns {
		_ = conn.SetWriteDeadline(soon)
		_ = conn.SetReadDeadline(past)
	}
}
