package terminal

import "golang.org/x/sys/unix"

const (
	getTerminal       = unix.TCGETS
	setTerminal       = unix.TCSETS
	setTerminalAfresh = unix.TCSETSF // without what was typed and not read
)
