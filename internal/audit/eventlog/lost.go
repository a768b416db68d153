package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sallyport/internal/audit"
)

// OpenSession is a session that was allowed and has no end in the log.
type OpenSession struct {
	SID  uuid.UUID
	Host string // whose it is
}

// OpenSessions returns the sessions without an end.
func (l *Log) OpenSessions(ctx context.Context) ([]OpenSession, error) {
	if err := l.flush(ctx); err != nil {
		return nil, fmt.Errorf("indexing the audit log: %w", err)
	}
	rows, err := l.index.Read.QueryContext(ctx, `SELECT sid, host FROM sessions WHERE state = 1`)
	if err != nil {
		return nil, fmt.Errorf("looking for open sessions: %w", err)
	}
	var open []OpenSession
	for rows.Next() {
		var session OpenSession
		var sid []byte
		if err := rows.Scan(&sid, &session.Host); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if session.SID, err = uuid.FromBytes(sid); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		open = append(open, session)
	}
	return open, errors.Join(rows.Err(), rows.Close())
}

// EndLost writes the end of a session whose host does not come back, unless it has one by now. It stands
// behind everything that the host may deliver after all, and if that holds an end too, that one is set aside.
func (l *Log) EndLost(ctx context.Context, sid uuid.UUID) error {
	line, err := l.lostEnd(ctx, sid)
	if err != nil {
		return fmt.Errorf("ending session %s: %w", sid, err)
	}
	return l.emit(ctx, line, func() (bool, error) {
		session, err := l.sessionOf(ctx, sid)
		return err == nil && session.state == started, err
	})
}

func (l *Log) lostEnd(ctx context.Context, sid uuid.UUID) ([]byte, error) {
	if err := l.flush(ctx); err != nil {
		return nil, err
	}
	var start, last []byte
	latest, host := int64(-1), ""
	err := l.eachOfSession(ctx, sid, func(e entry) error {
		event, _, err := SplitLine(e.line)
		if e.fields.Type == typeStart {
			start, host = event, e.fields.Server
		}
		if e.fields.Index > latest {
			last, latest = event, e.fields.Index
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if start == nil {
		return nil, errors.New("its start is not in the log")
	}
	config, began, err := audit.ResumeConfig(start)
	if err != nil {
		return nil, err
	}
	config.Next, config.Prev = audit.MaxIndex, audit.HashOf(last)
	chain, err := l.config.Encoder.Resume(config)
	if err != nil {
		return nil, err
	}
	now := l.config.Now()
	return chain.Append(nil, &audit.DatabaseSessionEnd{
		ServerMeta: audit.ServerMeta{ID: host}, Start: began, Stop: now, Reason: audit.ReasonLost,
	}, now)
}

// setAside replaces a second end of a session by an event that holds it: the stream has no hole, nothing
// that was delivered is gone, and yet the session ends once.
func (l *Log) setAside(f *audit.Fields) error {
	line, err := l.config.Encoder.Append(nil, &audit.LateEnd{
		UserMeta: audit.UserMeta{User: f.User}, SessionMeta: audit.SessionMeta{SID: f.SID.String()},
		ServerMeta: audit.ServerMeta{ID: f.Server}, Original: f.Raw,
	}, f.Time)
	if err != nil {
		return err
	}
	*f, err = audit.Parse(line)
	return err
}
