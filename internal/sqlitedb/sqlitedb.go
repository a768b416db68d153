// Package sqlitedb opens SQLite files, the only place where the driver is named.
package sqlitedb

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// DB is one file, in write-ahead mode. Its methods, those of both pools, are safe for concurrent use.
type DB struct {
	Write *sql.DB // one connection, whose transactions lock at their beginning
	Read  *sql.DB // a few
}

// Open opens the file, or makes an empty one with the mode. Sync is SQLite's "FULL", "NORMAL" or "OFF".
func Open(path, sync string, mode os.FileMode) (*DB, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(10000)", "synchronous(" + sync + ")"}}
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String()
	db := &DB{}
	if db.Write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.Write.SetMaxOpenConns(1)
	if db.Read, err = sql.Open("sqlite", dsn); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), db.Write.Close())
	}
	db.Read.SetMaxOpenConns(4)
	return db, nil
}

// Close closes the file.
func (db *DB) Close() error { return errors.Join(db.Read.Close(), db.Write.Close()) }
