package eventlog

import (
	"context"
	"database/sql"
	"strings"
)

// perStatement is how many rows one INSERT takes: most of the cost of a row is the call.
const perStatement = 64

const (
	eventColumns   = 10
	insertEvents   = `INSERT OR IGNORE INTO events (log_index, time, type, user, bulk, session, ei, file, offset, length) VALUES `
	upsertFile     = `INSERT INTO files (name, indexed) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET indexed = max(indexed, excluded.indexed) RETURNING id`
	upsertSession  = `INSERT INTO sessions (id, sid, host, next) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET next = max(next, excluded.next)`
	upsertStream   = `INSERT INTO streams (host, stream, next) VALUES (?, ?, ?) ON CONFLICT (host, stream) DO UPDATE SET next = max(next, excluded.next)`
	eventParameter = `(?,?,?,?,?,?,?,?,?,?)`
)

// insert adds rows in one transaction.
func (x *index) insert(ctx context.Context, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after Commit
	if err := x.insertFiles(ctx, tx, rows); err != nil {
		return err
	}
	if err := x.insertEvents(ctx, tx, rows); err != nil {
		return err
	}
	if err := insertProgress(ctx, tx, rows); err != nil {
		return err
	}
	return tx.Commit()
}

// insertFiles notes how far each file is indexed.
func (x *index) insertFiles(ctx context.Context, tx *sql.Tx, rows []row) error {
	for i := range rows {
		if i+1 < len(rows) && rows[i+1].at.name == rows[i].at.name {
			continue
		}
		at := rows[i].at
		var id int64
		if err := tx.QueryRowContext(ctx, upsertFile, at.name, at.offset+int64(at.length)).Scan(&id); err != nil {
			return err
		}
		x.files[at.name] = id
	}
	return nil
}

func (x *index) insertEvents(ctx context.Context, tx *sql.Tx, rows []row) error {
	many, err := tx.PrepareContext(ctx, insertEvents+strings.Repeat(eventParameter+",", perStatement-1)+eventParameter)
	if err != nil {
		return err
	}
	defer many.Close()
	args := make([]any, 0, perStatement*eventColumns)
	for ; len(rows) >= perStatement; rows = rows[perStatement:] {
		if _, err := many.ExecContext(ctx, x.arguments(args, rows[:perStatement])...); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, insertEvents+strings.Repeat(eventParameter+",", len(rows)-1)+eventParameter, x.arguments(args, rows)...)
	return err
}

func (x *index) arguments(args []any, rows []row) []any {
	for i := range rows {
		r := &rows[i]
		bulk := int64(0)
		if r.bulk {
			bulk = 1
		}
		args = append(args, r.index, r.time, int64(r.kind), int64(r.user), bulk, r.session, r.ei,
			x.files[r.at.name], r.at.offset, int64(r.at.length))
	}
	return args
}

// insertProgress notes how far the sessions and the streams have come.
func insertProgress(ctx context.Context, tx *sql.Tx, rows []row) error {
	sessions := make(map[int64]*row)
	streams := make(map[streamKey]uint64)
	for i := range rows {
		r := &rows[i]
		streams[r.stream] = max(streams[r.stream], r.seq+1)
		if last := sessions[r.session]; r.session != 0 && (last == nil || last.ei < r.ei) {
			sessions[r.session] = r
		}
	}
	for id, r := range sessions {
		if _, err := tx.ExecContext(ctx, upsertSession, id, r.sid.sid[:], r.sid.host, r.ei+1); err != nil {
			return err
		}
	}
	for key, next := range streams {
		if _, err := tx.ExecContext(ctx, upsertStream, key.host, key.stream, int64(next)); err != nil {
			return err
		}
	}
	return nil
}
