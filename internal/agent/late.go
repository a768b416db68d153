package agent

import "sync"

// late keeps the last events of sessions that the spool had no room for, at most two for each session that was
// cut off, until it takes events again. When the process dies first, the next one ends those sessions as lost.
// The zero value is empty.
type late struct {
	mu    sync.Mutex
	lines [][]byte // guarded by mu
}

func (l *late) keep(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// write appends what is kept, in order, until the first error.
func (l *late) write(store func(line []byte) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) > 0 {
		if err := store(l.lines[0]); err != nil {
			return err
		}
		l.lines[0] = nil
		l.lines = l.lines[1:]
	}
	return nil
}

// writeLate writes what could not be kept earlier; while the spool still refuses it, it waits on.
func (a *Agent) writeLate() {
	_ = a.late.write(func(line []byte) error {
		_, err := a.Spool.Append(line)
		return err
	})
}
