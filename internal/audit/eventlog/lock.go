package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sallyport/internal/durable"
)

// handover is how long Open waits for another process to close the log.
const handover = 30 * time.Second

// lockDir locks a directory, and waits for another process that is about to give it up.
func lockDir(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handover, errors.New("another process has it open; stop that one first"))
	defer cancel()
	for {
		dir, err := durable.LockDir(path)
		if !errors.Is(err, durable.ErrLocked) {
			return dir, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("locking %s: %w", path, context.Cause(ctx))
		}
	}
}
