package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// handover is how long Open waits for another process to close the log, unless Config says otherwise.
const handover = 30 * time.Second

// lockDir locks a directory. While another process has the lock it waits, and says so at once.
func lockDir(ctx context.Context, path string, patience time.Duration, log *slog.Logger) (*os.File, error) {
	if patience == 0 {
		patience = handover
	}
	taken := fault.New(fault.AlreadyExists, "another process uses this data directory and did not end within %s; stop that process first, or give this one another teleport.data_dir", patience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, taken)
	defer cancel()
	for waiting := false; ; waiting = true {
		dir, err := durable.LockDir(path)
		if !errors.Is(err, durable.ErrLocked) {
			return dir, err
		}
		if !waiting {
			log.Warn("another process uses this data directory; waiting for it to end", "path", path, "at_most", patience)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("locking %s: %w", path, context.Cause(ctx))
		}
	}
}
