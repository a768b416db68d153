package eventlog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
)

// maxCached bounds the sessions and the streams that are kept in memory.
const maxCached = 100_000

// streamNext returns the number of a stream's next event. Called with mu held.
func (l *Log) streamNext(ctx context.Context, key streamKey) (uint64, error) {
	if next, ok := l.streams[key]; ok {
		return next, nil
	}
	var next int64
	err := l.index.Read.QueryRowContext(ctx, `SELECT next FROM streams WHERE host = ? AND stream = ?`, key.host, key.stream).Scan(&next)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, refusal(err)
	}
	l.streams[key] = uint64(next)
	return uint64(next), nil
}

// sessionOf returns what is known of a session, which may be new. Called with mu held.
func (l *Log) sessionOf(ctx context.Context, sid uuid.UUID) (*sessionAt, error) {
	if session, ok := l.sessions[sid]; ok {
		return session, nil
	}
	session := &sessionAt{}
	err := l.index.Read.QueryRowContext(ctx, `SELECT host, next, state FROM sessions WHERE sid = ?`, sid[:]).Scan(&session.host, &session.next, &session.state)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, refusal(err)
	}
	l.sessions[sid] = session
	return session, nil
}

// forget drops what the index knows as well, once there is too much of it. Called with mu held, after all
// lines before the log index were indexed.
func (l *Log) forget(indexed int64) {
	if len(l.sessions) > maxCached {
		for key, session := range l.sessions {
			if session.last < indexed {
				delete(l.sessions, key)
			}
		}
	}
	if len(l.streams) > maxCached && indexed == l.next {
		clear(l.streams)
	}
}

// next returns the log index after the last line that is indexed.
func (x *index) next(ctx context.Context) (next int64, err error) {
	err = x.Write.QueryRowContext(ctx, `SELECT next FROM progress`).Scan(&next)
	return next, err
}
