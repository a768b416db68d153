package eventlog

import (
	"context"
	"path/filepath"

	"sallyport/internal/durable"
)

// sync returns when all lines written so far survive the loss of power. Concurrent callers share the
// disk's work. Called with mu held, which it gives up meanwhile.
func (l *Log) sync(ctx context.Context) error {
	target, failures := l.next, l.failures
	for l.synced < target {
		if l.syncing == nil {
			l.commit()
		} else if err := l.await(ctx, l.syncing); err != nil {
			return err
		}
		if l.failures != failures { // the lines may be cut off
			return l.failed
		}
	}
	return nil
}

// await waits for another caller's sync without holding mu.
func (l *Log) await(ctx context.Context, done <-chan struct{}) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commit syncs the file. Called with mu held, which it gives up meanwhile.
func (l *Log) commit() {
	done := make(chan struct{})
	l.syncing = done
	file, next, size := l.file, l.next, l.size
	path, info := filepath.Join(l.dir, l.name), l.info
	l.mu.Unlock()
	err := file.Sync()
	if err == nil {
		err = durable.CheckName(path, info)
	}
	l.mu.Lock()
	l.syncing = nil
	close(done)
	if l.file != file {
		return // rotated, which syncs, or given up meanwhile
	}
	if err != nil {
		l.fail(err) //nolint:errcheck // those who wait find it in l.failed
		return
	}
	l.synced, l.durable = next, size
}
