package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/google/uuid"
)

const (
	upsertChunk = `INSERT INTO chunks (id, next, low, high, file, offset, length) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET next = excluded.next, low = excluded.low, high = excluded.high, length = excluded.length`
	upsertFile = `INSERT INTO files (name, indexed) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET indexed = excluded.indexed RETURNING id`
	upsertSession = `INSERT INTO sessions (sid, host, next, state) VALUES (?, ?, ?, ?)
		ON CONFLICT (sid) DO UPDATE SET next = max(next, excluded.next), state = state | excluded.state`
	upsertStream = `INSERT INTO streams (host, stream, next) VALUES (?, ?, ?)
		ON CONFLICT (host, stream) DO UPDATE SET next = max(next, excluded.next)`
	insertKey = `INSERT OR IGNORE INTO keys (key, chunk) VALUES (?, ?)`
	lastChunk = chunkColumns + `JOIN files f ON f.id = c.file ORDER BY c.id DESC LIMIT 1`
)

// insert adds rows, in the order of their log index, in one transaction. Rows that it has already are
// passed over.
func (x *index) insert(ctx context.Context, rows []row) error {
	tx, err := x.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after Commit
	var next int64
	if err := tx.QueryRowContext(ctx, `SELECT next FROM progress`).Scan(&next); err != nil {
		return err
	}
	rows = rows[slices.IndexFunc(append(rows, row{index: next}), func(r row) bool { return r.index >= next }):]
	if len(rows) == 0 {
		return nil
	}
	if err := insertChunks(ctx, tx, rows); err != nil {
		return err
	}
	if err := insertProgress(ctx, tx, rows); err != nil {
		return err
	}
	return tx.Commit()
}

// insertChunks makes chunks of the rows, the first of which may go on with the last chunk there is.
func insertChunks(ctx context.Context, tx *sql.Tx, rows []row) error {
	c := &chunk{}
	err := tx.QueryRowContext(ctx, lastChunk).Scan(&c.id, &c.next, &c.low, &c.high, &c.name, &c.offset, &c.length)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for len(rows) > 0 {
		if !c.add(&rows[0]) {
			c = newChunk(&rows[0])
		}
		n := 1
		for n < len(rows) && c.add(&rows[n]) {
			n++
		}
		if err := insertChunk(ctx, tx, c, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// insertChunk stores a chunk and the keys of its newest rows.
func insertChunk(ctx context.Context, tx *sql.Tx, c *chunk, rows []row) error {
	var file int64
	if err := tx.QueryRowContext(ctx, upsertFile, c.name, c.offset+c.length).Scan(&file); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, upsertChunk, c.id, c.next, c.low, c.high, file, c.offset, c.length); err != nil {
		return err
	}
	keys := map[int64]bool{0: true}
	for i := range rows {
		for _, key := range rows[i].keys {
			if keys[key] {
				continue
			}
			keys[key] = true
			if _, err := tx.ExecContext(ctx, insertKey, key, c.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// insertProgress notes how far the log, the sessions and the streams have come.
func insertProgress(ctx context.Context, tx *sql.Tx, rows []row) error {
	sessions := make(map[uuid.UUID]*sessionAt)
	streams := make(map[streamKey]uint64)
	for i := range rows {
		r := &rows[i]
		streams[r.stream] = max(streams[r.stream], r.seq+1)
		if r.ei < 0 {
			continue
		}
		session := sessions[r.session]
		if session == nil {
			session = &sessionAt{host: r.stream.host}
			sessions[r.session] = session
		}
		session.note(r.ei, r.state)
	}
	for sid, session := range sessions {
		if _, err := tx.ExecContext(ctx, upsertSession, sid[:], session.host, session.next, session.state); err != nil {
			return err
		}
	}
	for key, next := range streams {
		if _, err := tx.ExecContext(ctx, upsertStream, key.host, key.stream, int64(next)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE progress SET next = ?`, rows[len(rows)-1].index+1)
	return err
}
