// Package eventlog is the searchable audit log of an auth server.
//
// The lines on disk are the log: each is an event's bytes as its emitter encoded them, with a few keys of
// the log's own (the envelope) as the last keys of the same object. An SQLite index stands behind the
// lines and can be rebuilt from them at any time. It knows chunks of lines rather than single ones, which
// makes it so cheap that it keeps up with any rate the lines can be written at; a search reads the chunks that
// may hold what it looks for.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
)

// Config says where the log is and who writes it. All fields must be set.
type Config struct {
	Dir     string         // the log directory of the data directory; made if missing
	HostID  string         // of the auth server, a UUID
	Encoder *audit.Encoder // for the auth server's own events
	Now     func() time.Time
	Log     *slog.Logger

	// Patience is how long to wait for another process that has the log open; zero means half a minute.
	Patience time.Duration
	// OpenFile opens a file of lines for appending; nil means the real thing.
	OpenFile func(path string) (LineFile, error)
}

// LineFile is a file of lines being written.
type LineFile interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	config Config
	dir    string // of this host's files
	stream string // of the events of this process
	index  *index
	lock   *os.File // the directory, locked against other processes

	mu       sync.Mutex
	info     os.FileInfo // of file
	file     LineFile    // nil until the first write and after a failure
	name     string      // of file, below dir
	size     int64       // of file
	durable  int64       // how much of file survives the loss of power
	next     int64       // log index of the next line
	synced   int64       // lines before this log index survive the loss of power
	failed   error
	closed   bool
	failures int           // counts calls of fail
	cut      *place        // where an unsynced end has to be cut off before the log can be used again
	distrust bool          // the disk failed: the next line begins a new file
	syncing  chan struct{} // closed when the sync that is under way ends
	own      uint64        // number of the next event of this process's own stream
	buffer   []byte
	streams  map[streamKey]uint64     // number of the next event of each stream seen lately
	sessions map[uuid.UUID]*sessionAt // where the sessions seen lately stand
	rows     []row                    // written and not yet handed to the index
	indexing []row                    // being inserted into the index
	spare    []row                    // empty, to be used for rows again
	lagging  bool                     // rows were dropped: the index has to read the lines

	flushing sync.Mutex // held while the index is written; taken before mu
}

// place is a place in a file of lines.
type place struct {
	name string
	size int64
}

type streamKey struct{ host, stream string }

// sessionAt is how far a session is known.
type sessionAt struct {
	host  string // the first that delivered an event of it; empty for a session that is new
	next  int64  // no event of this index or a later one is stored, but for an end that the log itself wrote
	state int    // bits of what happened
	last  int64  // log index of a line at or behind its latest event
}

// Bits of sessionAt.state.
const (
	started = 1 << iota // it was allowed
	ended
)

// note takes an event of the session's chain into account.
func (s *sessionAt) note(ei int64, state int) {
	if ei < audit.MaxIndex { // where the log itself writes an end, behind what the agent may yet deliver
		s.next = max(s.next, ei+1)
	}
	s.state |= state
}

// Open repairs what a crash left behind and brings the index up to date. While another process still
// writes the log, as after a graceful restart, it waits for that to close it, but not for ever. Run must run
// while the log is used.
func Open(ctx context.Context, config Config) (*Log, error) {
	if _, err := uuid.Parse(config.HostID); err != nil {
		return nil, fmt.Errorf("host id of the audit log: %w", err)
	}
	stream, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	if config.OpenFile == nil {
		config.OpenFile = openLineFile
	}
	l := &Log{config: config, dir: filepath.Join(config.Dir, config.HostID), stream: stream.String()}
	if err := os.MkdirAll(l.dir, 0o750); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	if l.lock, err = lockDir(ctx, l.dir, config.Patience, config.Log); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	if l.index, err = openIndex(ctx, filepath.Join(config.Dir, "index.db")); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the index of the audit log: %w", err), l.lock.Close())
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.repair(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the audit log: %w", err), l.index.Close(), l.lock.Close())
	}
	return l, nil
}

// Run keeps the index close behind the lines until the context ends.
func (l *Log) Run(ctx context.Context) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := l.flush(ctx); err != nil && ctx.Err() == nil {
				l.config.Log.Error("indexing the audit log", "error", err)
			}
		}
	}
}

// Close closes the files. What is under way ends with an error.
func (l *Log) Close() error {
	err := l.flush(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.failed = true, errors.New("the audit log is closed")
	l.failures++ // so that whoever still waits for the disk does not go on with what is closed
	if l.file != nil {
		syncErr := l.file.Sync()
		if syncErr == nil {
			l.synced, l.durable = l.next, l.size
		}
		err = errors.Join(err, syncErr, l.file.Close())
		l.file = nil
	}
	return errors.Join(err, l.index.Close(), l.lock.Close())
}
