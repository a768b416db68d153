package eventlog

import (
	"context"
	"slices"
)

const maxSpare = 20_000 // rows, of which a busy log has some thousands between two flushes

// flush hands the rows of durable lines to the index. When it returns, all of them are found.
func (l *Log) flush(ctx context.Context) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	n, _ := slices.BinarySearchFunc(l.rows, l.synced, func(r row, index int64) int { return int(r.index - index) })
	rows := l.rows[:n]
	l.indexing, l.rows, l.spare = rows, append(l.spare, l.rows[n:]...), nil
	lagging, indexed, name, limit := l.lagging, l.synced, l.name, l.durable
	l.mu.Unlock()

	var err error
	if lagging {
		err = l.reread(ctx, name, limit)
	} else if len(rows) > 0 {
		err = l.index.insert(context.WithoutCancel(ctx), rows) // short, and not the caller's alone
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.indexing = nil
	if cap(rows) <= maxSpare {
		clear(rows[:cap(rows)]) // they hold texts
		l.spare = rows[:0]
	}
	if l.lagging = err != nil; !l.lagging {
		l.forget(indexed)
	}
	return err
}

// reread indexes the lines up to a durable size of the current file, after rows were dropped.
func (l *Log) reread(ctx context.Context, current string, size int64) error {
	names, err := l.fileNames()
	if err != nil {
		return err
	}
	if at := slices.Index(names, current); at >= 0 {
		names = names[:at+1]
	}
	return l.catchUp(ctx, names, size)
}
