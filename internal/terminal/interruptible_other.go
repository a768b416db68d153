//go:build !linux && !darwin

package terminal

import (
	"context"
	"os"

	"golang.org/x/term"
)

func (r *interruptible) Read(p []byte) (int, error) {
	text, err := readBehind(r.ctx, func() ([]byte, error) {
		into := make([]byte, len(p))
		n, err := r.file.Read(into)
		return into[:n], err
	})
	return copy(p, text), err
}

// readHidden reads a line that the terminal does not show, from when it is asked for.
func readHidden(ctx context.Context, file *os.File, ask func()) (line string, err error) {
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", err
	}
	ask()
	text, err := readBehind(ctx, func() ([]byte, error) { return term.ReadPassword(int(file.Fd())) })
	if ctx.Err() != nil {
		_ = term.Restore(int(file.Fd()), before)
	}
	return string(text), err
}

// readBehind returns what is read, unless the context ends first. The reading is left behind then: it cannot be ended here, and the
// process is about to end.
func readBehind(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case got := <-done:
		return got.text, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
