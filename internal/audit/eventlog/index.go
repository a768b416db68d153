package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"sallyport/internal/audit"
)

// layout is the number of the index's tables. An index with another number is made anew.
const layout = 1

// Types and users are stored as hashes: what a search finds is checked against the lines. Statements and
// their results are "bulk": by far most events, and left out of the index that searches for others use.
const tables = `
CREATE TABLE files (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	indexed INTEGER NOT NULL -- bytes
);
CREATE TABLE events (
	log_index INTEGER PRIMARY KEY,
	time      INTEGER NOT NULL, -- Unix milliseconds
	type      INTEGER NOT NULL,
	user      INTEGER NOT NULL,
	bulk      INTEGER NOT NULL,
	session   INTEGER NOT NULL, -- 0 for none
	ei        INTEGER NOT NULL, -- -1 for events that are no link of a session's chain
	file      INTEGER NOT NULL,
	offset    INTEGER NOT NULL,
	length    INTEGER NOT NULL  -- with the end of the line
);
CREATE INDEX events_time ON events (time, type, user);
CREATE INDEX events_rare ON events (time, type, user) WHERE bulk = 0;
CREATE INDEX events_session ON events (session, ei) WHERE session > 0;
CREATE TABLE sessions (
	id   INTEGER PRIMARY KEY,
	sid  BLOB NOT NULL,
	host TEXT NOT NULL,
	next INTEGER NOT NULL, -- above the index of every event
	UNIQUE (sid, host)
);
CREATE TABLE streams (
	host   TEXT NOT NULL,
	stream TEXT NOT NULL,
	next   INTEGER NOT NULL,
	PRIMARY KEY (host, stream)
) WITHOUT ROWID;
`

// index finds lines. It is written by one goroutine at a time and read by any number.
type index struct {
	write *sql.DB // one connection
	read  *sql.DB
	files map[string]int64 // ids; owned by the writer
}

// row is one line as the index sees it.
type row struct {
	index   int64
	time    int64
	kind    uint32
	user    uint32
	bulk    bool
	session int64
	ei      int64
	at      span

	sid    sessionKey
	stream streamKey
	seq    uint64
}

// span is where a line stands.
type span struct {
	name   string
	offset int64
	length int
}

func newRow(f *audit.Fields, envelope *Envelope, session int64, at span) row {
	r := row{
		index: envelope.Index, time: f.Time.UnixMilli(), kind: hashOf(f.Type), user: hashOf(f.User),
		bulk: isBulk(f.Type), session: session, ei: -1, at: at,
		stream: streamKey{envelope.Host, envelope.Stream}, seq: envelope.Seq,
	}
	if session != 0 {
		r.sid = sessionKey{f.SID, envelope.Host}
	}
	if f.Chained() {
		r.ei = f.Index
	}
	return r
}

func hashOf(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}

// isBulk reports whether events of the type come with every statement.
func isBulk(kind string) bool {
	return kind == "db.session.query" || kind == "db.session.result" || strings.HasPrefix(kind, "db.session.postgres.")
}

// openIndex opens the index, or makes an empty one in place of an index that cannot be used.
func openIndex(ctx context.Context, path string) (*index, error) {
	x, err := dialIndex(ctx, path)
	if err == nil {
		return x, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if removeErr := removeIndex(path); removeErr != nil {
		return nil, errors.Join(err, removeErr)
	}
	return dialIndex(ctx, path)
}

func dialIndex(ctx context.Context, path string) (*index, error) {
	// The index may lose its latest changes with the power: they are read from the lines again.
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(10000)", "synchronous(NORMAL)",
		"wal_autocheckpoint(4000)", "cache_size(-8000)"}}
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	x := &index{files: make(map[string]int64)}
	if x.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return nil, err
	}
	x.write.SetMaxOpenConns(1)
	if x.read, err = sql.Open("sqlite", dsn); err != nil {
		return nil, errors.Join(err, x.write.Close())
	}
	x.read.SetMaxOpenConns(4)
	if err := x.prepare(ctx); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// prepare makes the tables of a new index and checks those of an old one.
func (x *index) prepare(ctx context.Context) error {
	var have int
	if err := x.write.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return err
	}
	switch have {
	case layout:
		var state string
		if err := x.write.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&state); err != nil {
			return err
		}
		if state != "ok" {
			return fmt.Errorf("the index is damaged: %s", state)
		}
		return nil
	case 0:
		_, err := x.write.ExecContext(ctx, fmt.Sprintf(`BEGIN; %s PRAGMA user_version = %d; COMMIT;`, tables, layout))
		return err
	default:
		return fmt.Errorf("layout %d of the index is not known", have)
	}
}

func (x *index) close() error { return errors.Join(x.read.Close(), x.write.Close()) }

func removeIndex(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
