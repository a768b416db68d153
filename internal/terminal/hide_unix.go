//go:build linux || darwin

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// hide makes the terminal show nothing of what is typed (termios(3)), before the question that people answer
// at once is shown.
func hide(file *os.File) error {
	state, err := unix.IoctlGetTermios(int(file.Fd()), getTerminal)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(int(file.Fd()), setTerminal, state)
}
