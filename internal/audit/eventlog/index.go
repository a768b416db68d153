package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sallyport/internal/sqlitedb"
)

// layout is the number of the index's tables. An index with another number is made anew.
const layout = 2

const tables = `
CREATE TABLE files (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	indexed INTEGER NOT NULL -- bytes
);
CREATE TABLE chunks (
	id     INTEGER PRIMARY KEY, -- log index of its first line
	next   INTEGER NOT NULL,    -- log index after its last line
	low    INTEGER NOT NULL,    -- the earliest time, Unix milliseconds
	high   INTEGER NOT NULL,    -- the latest time
	file   INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	length INTEGER NOT NULL
);
CREATE INDEX chunks_low ON chunks (low);
CREATE INDEX chunks_high ON chunks (high);
CREATE TABLE keys (
	key   INTEGER NOT NULL, -- hash of a type, a user or a session
	chunk INTEGER NOT NULL,
	PRIMARY KEY (key, chunk)
) WITHOUT ROWID;
CREATE TABLE sessions (
	sid   BLOB PRIMARY KEY,
	host  TEXT NOT NULL,    -- the first that delivered an event of it
	next  INTEGER NOT NULL, -- above the index of every event of its chain
	state INTEGER NOT NULL  -- bits: started, ended
) WITHOUT ROWID;
CREATE INDEX sessions_open ON sessions (host) WHERE state = 1;
CREATE TABLE streams (
	host   TEXT NOT NULL,
	stream TEXT NOT NULL,
	next   INTEGER NOT NULL, -- number of the next event
	PRIMARY KEY (host, stream)
) WITHOUT ROWID;
CREATE TABLE progress (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	next INTEGER NOT NULL -- log index after the last line
);
INSERT INTO progress VALUES (1, 0);
`

// empty removes everything that was read from lines.
const empty = `DELETE FROM files; DELETE FROM chunks; DELETE FROM keys; DELETE FROM sessions; DELETE FROM streams; UPDATE progress SET next = 0;`

// index finds chunks of lines. It is written by one goroutine at a time and read by any number.
type index struct{ *sqlitedb.DB }

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
	db, err := sqlitedb.Open(path, "NORMAL", 0o640)
	if err != nil {
		return nil, err
	}
	x := &index{db}
	if err := x.prepare(ctx); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// prepare makes the tables of a new index and checks those of an old one.
func (x *index) prepare(ctx context.Context) error {
	var have int
	if err := x.Write.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return err
	}
	switch have {
	case 0:
		return x.exec(ctx, fmt.Sprintf(`BEGIN; %s PRAGMA user_version = %d; COMMIT;`, tables, layout))
	case layout:
		var state string
		err := x.Write.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&state)
		if err == nil && state != "ok" {
			err = fmt.Errorf("the index is damaged: %s", state)
		}
		return err
	default:
		return fmt.Errorf("layout %d of the index is not known", have)
	}
}

func (x *index) exec(ctx context.Context, statement string, args ...any) error {
	_, err := x.Write.ExecContext(ctx, statement, args...)
	return err
}

func removeIndex(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
