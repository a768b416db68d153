package terminal

import "golang.org/x/sys/unix"

const (
	getTerminal       = unix.TIOCGETA
	setTerminal       = unix.TIOCSETA
	setTerminalAfresh = unix.TIOCSETAF // without what was typed and not read
)
