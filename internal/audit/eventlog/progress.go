package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxCached bounds the sessions and the streams that are kept in memory.
const maxCached = 100_000

// streamNext returns the number of a stream's next event. Called with mu held.
func (l *Log) streamNext(ctx context.Context, key streamKey) (uint64, error) {
	if next, ok := l.streams[key]; ok {
		return next, nil
	}
	next, err := l.index.streamNext(ctx, key)
	if err != nil {
		return 0, refusal(err)
	}
	l.streams[key] = next
	return next, nil
}

// sessionOf returns what is known of a session, which may be new. Called with mu held.
func (l *Log) sessionOf(ctx context.Context, key sessionKey) (*sessionAt, error) {
	if session, ok := l.sessions[key]; ok {
		return session, nil
	}
	session := &sessionAt{}
	var err error
	session.id, session.next, err = l.index.session(ctx, key)
	if err != nil {
		return nil, refusal(err)
	}
	if session.id == 0 {
		l.lastSession++
		session.id = l.lastSession
	}
	l.sessions[key] = session
	return session, nil
}

// forget drops cached progress that the index has. Called with mu held after a flush that left nothing
// behind which has a log index below indexed.
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

func (x *index) streamNext(ctx context.Context, key streamKey) (next uint64, err error) {
	var stored int64
	err = x.read.QueryRowContext(ctx, `SELECT next FROM streams WHERE host = ? AND stream = ?`, key.host, key.stream).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return uint64(stored), err
}

func (x *index) session(ctx context.Context, key sessionKey) (id, next int64, err error) {
	err = x.read.QueryRowContext(ctx, `SELECT id, next FROM sessions WHERE sid = ? AND host = ?`, key.sid[:], key.host).Scan(&id, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return id, next, err
}

func (x *index) hasEvent(ctx context.Context, session, ei int64) (found bool, err error) {
	err = x.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE session > 0 AND session = ? AND ei = ?)`, session, ei).Scan(&found)
	if err != nil {
		err = refusal(err)
	}
	return found, err
}

// ends returns the log index after the last event and the highest id of a session.
func (x *index) ends(ctx context.Context) (next, session int64, err error) {
	err = x.write.QueryRowContext(ctx,
		`SELECT (SELECT coalesce(max(log_index) + 1, 0) FROM events), (SELECT coalesce(max(id), 0) FROM sessions)`).Scan(&next, &session)
	if err != nil {
		err = fmt.Errorf("reading the index: %w", err)
	}
	return next, session, err
}
