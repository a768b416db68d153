// Package sqlite is the embedded store of a cluster with one auth server: one file, one writer.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"sallyport/internal/store"
)

// schema is the number of the newest layout that this code writes. A newer one is refused.
const schema = 1

const create = `
CREATE TABLE IF NOT EXISTS items (
	key      TEXT PRIMARY KEY,
	value    BLOB NOT NULL,
	expires  INTEGER NOT NULL, -- Unix milliseconds, 0 for never
	revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_expires ON items (expires) WHERE expires > 0;
CREATE TABLE IF NOT EXISTS meta (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	schema   INTEGER NOT NULL,
	revision INTEGER NOT NULL
);
INSERT OR IGNORE INTO meta (id, schema, revision) VALUES (1, 1, 0);
`

// Store is an SQLite file.
type Store struct {
	hub   store.Hub
	now   func() time.Time
	write *sql.DB // one connection
	read  *sql.DB

	mu       sync.Mutex // held by every change, which orders revisions and what watchers see
	revision uint64     // guarded by mu
}

var _ store.Store = (*Store)(nil)

// Open opens or makes the file at path (mode 0600, its directory 0700). Sync is SQLite's "FULL",
// "NORMAL" or "OFF"; empty means FULL.
func Open(ctx context.Context, path, sync string, now func() time.Time) (*Store, error) {
	if sync == "" {
		sync = "FULL"
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making store directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	s := &Store{now: now}
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(10000)", "synchronous(" + sync + ")"}}
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String()
	if s.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn); err != nil {
		return nil, errors.Join(fmt.Errorf("opening store: %w", err), s.write.Close())
	}
	s.read.SetMaxOpenConns(4)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) migrate(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, create); err != nil {
		return fmt.Errorf("making store tables: %w", err)
	}
	var found int
	if err := s.write.QueryRowContext(ctx, `SELECT schema, revision FROM meta`).Scan(&found, &s.revision); err != nil {
		return fmt.Errorf("reading store schema: %w", err)
	}
	if found > schema {
		return fmt.Errorf("store has schema %d, this version knows up to %d: use the newer version that wrote it", found, schema)
	}
	return nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, item store.Item) (uint64, error) {
	return s.change(ctx, item, func(revision uint64) error {
		if revision != 0 {
			return store.ErrExists
		}
		return nil
	})
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, item store.Item) (uint64, error) {
	return s.change(ctx, item, func(uint64) error { return nil })
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, item store.Item) (uint64, error) {
	return s.change(ctx, item, func(revision uint64) error {
		switch {
		case revision == 0:
			return store.ErrNotFound
		case revision != item.Revision:
			return store.ErrChanged
		}
		return nil
	})
}

// change writes an item if check accepts the revision stored under its key, 0 for none.
func (s *Store) change(ctx context.Context, item store.Item, check func(revision uint64) error) (uint64, error) {
	if err := store.Check(item); err != nil {
		return 0, err
	}
	if item.Value == nil {
		item.Value = []byte{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *sql.Tx, next uint64) error {
		stored, err := s.storedRevision(ctx, tx, item.Key)
		if err != nil {
			return err
		}
		if err := check(stored); err != nil {
			return err
		}
		item.Revision = next
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO items (key, value, expires, revision) VALUES (?, ?, ?, ?)`,
			item.Key, item.Value, millis(item.Expires), item.Revision)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.hub.Publish(store.Change{Item: item})
	return item.Revision, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *sql.Tx, _ uint64) error {
		stored, err := s.storedRevision(ctx, tx, key)
		switch {
		case err != nil:
			return err
		case stored == 0:
			return store.ErrNotFound
		case revision != 0 && stored != revision:
			return store.ErrChanged
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM items WHERE key = ?`, key)
		return err
	})
	if err != nil {
		return err
	}
	s.hub.Publish(store.Change{Deleted: true, Item: store.Item{Key: key, Revision: s.revision}})
	return nil
}

// transact runs do with the next revision in one durable transaction. The caller holds mu.
func (s *Store) transact(ctx context.Context, do func(tx *sql.Tx, next uint64) error) error {
	// A change that has begun is finished: a half-known outcome would be worse than a late answer.
	ctx = context.WithoutCancel(ctx)
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning change: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	next := s.revision + 1
	if err := do(tx, next); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE meta SET revision = ?`, next); err != nil {
		return fmt.Errorf("writing revision: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing change: %w", err)
	}
	s.revision = next
	return nil
}

// storedRevision returns the revision of a live key, or 0.
func (s *Store) storedRevision(ctx context.Context, tx *sql.Tx, key string) (uint64, error) {
	var revision uint64
	err := tx.QueryRowContext(ctx, `SELECT revision FROM items WHERE key = ? AND (expires = 0 OR expires > ?)`,
		key, s.now().UnixMilli()).Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading revision: %w", err)
	}
	return revision, nil
}

// Watch implements store.Store.
func (s *Store) Watch(prefixes ...string) *store.Watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub.Watch(prefixes...)
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.hub.CloseWatchers()
	return errors.Join(s.write.Close(), s.read.Close())
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
