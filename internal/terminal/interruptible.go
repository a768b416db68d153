package terminal

import (
	"context"
	"io"
	"os"
)

// Interruptible returns a reader of what people type or a pipe brings. While it waits for that, the end of the context ends the
// wait with the context's error, and nothing of what comes later is taken. Readers other than files are not waited for.
func Interruptible(ctx context.Context, in io.Reader) io.Reader {
	if file, ok := in.(*os.File); ok {
		return &interruptible{ctx, file}
	}
	return in
}

type interruptible struct {
	ctx  context.Context // of the command; a reader has no other way to hear of it
	file *os.File
}
