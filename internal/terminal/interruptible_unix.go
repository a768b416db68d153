//go:build linux || darwin

package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func (r *interruptible) Read(p []byte) (int, error) {
	if err := awaitInput(r.ctx, r.file); err != nil {
		return 0, err
	}
	return r.file.Read(p)
}

// awaitInput returns nil when reading the file does not wait, and the context's error when that ends first. It is by select(2),
// because the poll(2) of Darwin knows no terminals, and deadlines would need a terminal that does not block anybody, the shell included.
func awaitInput(ctx context.Context, file *os.File) error {
	ended, end, err := os.Pipe() // its closed end is what the end of the context looks like to select
	if err != nil {
		return fmt.Errorf("waiting for input: %w", err)
	}
	defer ended.Close()
	defer end.Close()
	defer context.AfterFunc(ctx, func() { end.Close() })()

	input, over := int(file.Fd()), int(ended.Fd())
	if max(input, over) >= unix.FD_SETSIZE {
		return errors.New("waiting for input: too many files are open")
	}
	for ctx.Err() == nil {
		var ready unix.FdSet
		ready.Set(input)
		ready.Set(over)
		_, err := unix.Select(max(input, over)+1, &ready, nil, nil, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for input: %w", err)
		}
		if err == nil && ready.IsSet(input) && !ready.IsSet(over) {
			return nil
		}
	}
	return ctx.Err()
}

// readHidden reads a line that the terminal does not show, from before it is asked for (termios(3)). However it ends, the
// terminal is then as it was; what was typed without an answer coming of it is thrown away, so that no shell shows it.
func readHidden(ctx context.Context, file *os.File, ask func()) (line string, err error) {
	before, err := unix.IoctlGetTermios(int(file.Fd()), getTerminal)
	if err != nil {
		return "", err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(int(file.Fd()), setTerminal, &hidden); err != nil {
		return "", err
	}
	defer func() {
		how := uint(setTerminal)
		if err != nil {
			how = setTerminalAfresh
		}
		err = errors.Join(err, unix.IoctlSetTermios(int(file.Fd()), how, before))
	}()
	ask()
	return readLine(&interruptible{ctx, file})
}
