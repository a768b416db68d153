package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
)

// OpenSession is a database session that a dead process left without an end.
type OpenSession struct {
	SID   string     `json:"sid"`
	Start []byte     `json:"start"` // the line of its first event
	Next  int64      `json:"next"`  // the index that its next event has
	Prev  audit.Hash `json:"prev"`  // the hash of its last event
}

// sessionsName is the file with the open sessions whose start stood in a segment deleted since.
const sessionsName = "sessions"

// savedSession is an entry of that file: a session that is open, or one of another stream that was ended here.
type savedSession struct {
	OpenSession
	Ended bool `json:"ended,omitempty"`
}

// openSessions follows the sessions of one stream. The zero value is empty.
type openSessions struct {
	open    map[string]*OpenSession
	ended   map[string]bool
	adopted map[string]bool // of the ended ones those that began in another stream
}

func loadSessions(dir string) (o openSessions, err error) {
	data, err := os.ReadFile(filepath.Join(dir, sessionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	var sessions []savedSession
	if err == nil {
		err = json.Unmarshal(data, &sessions)
	}
	if err != nil {
		return o, fmt.Errorf("reading the open sessions of %s: %w", dir, err)
	}
	o.open = make(map[string]*OpenSession, len(sessions))
	for _, session := range sessions {
		if session.Ended {
			o.end(session.SID)
		} else {
			o.open[session.SID] = &session.OpenSession
		}
	}
	return o, nil
}

func (o *openSessions) save(dir string) error {
	sessions := make([]savedSession, 0, len(o.open)+len(o.adopted))
	for _, session := range o.open {
		sessions = append(sessions, savedSession{OpenSession: *session})
	}
	for sid := range o.adopted {
		sessions = append(sessions, savedSession{OpenSession: OpenSession{SID: sid}, Ended: true})
	}
	data, err := json.Marshal(sessions)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, sessionsName), data, 0o600)
}

// read follows the events of a segment.
func (o *openSessions) read(path string) error {
	last := make(map[string][]byte) // the last event of each open session
	err := eachRecord(path, func(line []byte) { o.follow(line, last) })
	if err != nil {
		return err
	}
	for sid, line := range last {
		f, err := audit.Parse(line)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		session := o.open[sid]
		session.Next, session.Prev = f.Index+1, audit.HashOf(line)
	}
	return nil
}

var sessionEvent = []byte("db.session.")

// follow looks at the type and the session of an event. Events are encoded in one way only, and a quote
// within a string is escaped, so that looking for the keys as bytes is exact.
func (o *openSessions) follow(line []byte, last map[string][]byte) {
	kind := valueOf(line, `"event":"`)
	if !bytes.HasPrefix(kind, sessionEvent) {
		return
	}
	sid := valueOf(line, `"sid":"`)
	switch string(kind) {
	case (*audit.DatabaseSessionStart)(nil).Type():
		allowed := audit.DatabaseSessionStart{Status: audit.Status{Success: true}}
		if string(valueOf(line, `"code":"`)) != allowed.Code() {
			return
		}
		if o.open == nil {
			o.open = make(map[string]*OpenSession)
		}
		o.open[string(sid)] = &OpenSession{SID: string(sid), Start: bytes.Clone(line)}
		last[string(sid)] = bytes.Clone(line)
	case (*audit.DatabaseSessionEnd)(nil).Type():
		o.end(string(sid))
		delete(last, string(sid))
	default:
		if _, ok := o.open[string(sid)]; ok {
			last[string(sid)] = append(last[string(sid)][:0], line...)
		}
	}
}

func (o *openSessions) end(sid string) {
	if o.ended == nil {
		o.ended, o.adopted = make(map[string]bool), make(map[string]bool)
	}
	if o.open[sid] == nil {
		o.adopted[sid] = true
	}
	o.ended[sid] = true
	delete(o.open, sid)
}

// valueOf returns the string that follows the first occurrence of key, which includes the string's quote.
func valueOf(line []byte, key string) []byte {
	_, rest, _ := bytes.Cut(line, []byte(key))
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return value
}
