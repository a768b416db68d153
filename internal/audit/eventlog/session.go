package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"sallyport/internal/fault"
)

// Session returns the events of a session in the order of their index: lines with their envelope, without
// those that only name the session. It ends after the first error.
func (l *Log) Session(ctx context.Context, sid string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := l.session(ctx, sid, func(line []byte) bool { return yield(line, nil) }); err != nil {
			yield(nil, fmt.Errorf("reading session %s: %w", sid, err))
		}
	}
}

var errStopped = errors.New("stopped by the reader")

func (l *Log) session(ctx context.Context, sid string, visit func(line []byte) bool) (err error) {
	id, err := uuid.Parse(sid)
	if err != nil {
		return fault.New(fault.BadParameter, "%q is not a session id", sid)
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	rows, err := l.index.read.QueryContext(ctx, `SELECT f.name, e.offset, e.length FROM events e CROSS JOIN files f ON f.id = e.file
		WHERE e.session > 0 AND e.session IN (SELECT id FROM sessions WHERE sid = ?) AND e.ei >= 0 ORDER BY e.ei, e.log_index`, id[:])
	if err != nil {
		return err
	}
	files := &reader{dir: l.dir}
	defer func() { err = errors.Join(err, rows.Close(), files.close()) }()
	if err := visitLines(rows, files, visit); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

func visitLines(rows *sql.Rows, files *reader, visit func(line []byte) bool) error {
	for rows.Next() {
		var name string
		var offset int64
		var length int
		if err := rows.Scan(&name, &offset, &length); err != nil {
			return err
		}
		line, err := files.line(name, offset, length)
		if err != nil {
			return err
		}
		if !visit(line) {
			return errStopped
		}
	}
	return rows.Err()
}
