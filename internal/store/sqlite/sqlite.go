// Package sqlite is the embedded store of a cluster with one auth server: one file, one writer.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/sqlitedb"
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
	hub store.Hub
	now func() time.Time
	db  *sqlitedb.DB

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
	db, err := sqlitedb.Open(path, sync, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	s := &Store{now: now, db: db}
	if err := s.prepare(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes the tables of a new store and checks those of an old one, which it leaves alone until it knows
// them.
func (s *Store) prepare(ctx context.Context, path string) error {
	var made bool
	if err := s.db.Write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'meta')`).Scan(&made); err != nil {
		return fmt.Errorf("reading store schema: %w", err)
	}
	if made {
		found := 0
		err := s.db.Write.QueryRowContext(ctx, `SELECT schema FROM meta`).Scan(&found)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // without a row it was not made completely
			return fmt.Errorf("reading store schema: %w", err)
		}
		if found > schema {
			return fault.New(fault.BadParameter, "the store %s was written by a newer version of teleport: it has schema %d, and this version knows up to %d; start the newer version, or put back a backup of the data directory from before it ran", path, found, schema)
		}
	}
	if _, err := s.db.Write.ExecContext(ctx, "BEGIN IMMEDIATE;"+create+"COMMIT;"); err != nil {
		return fmt.Errorf("making store tables: %w", err)
	}
	if err := s.db.Write.QueryRowContext(ctx, `SELECT revision FROM meta`).Scan(&s.revision); err != nil {
		return fmt.Errorf("reading store revision: %w", err)
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
func (s *Store) transact(ctx context.Context, do func(tx *sql.Tx, next uint64) error) (err error) {
	defer func() { err = sqlitedb.Explain(err) }()
	// A change that has begun is finished: a half-known outcome would be worse than a late answer.
	ctx = context.WithoutCancel(ctx)
	tx, err := s.db.Write.BeginTx(ctx, nil)
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
	return s.db.Close()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
