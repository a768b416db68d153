// Package sqlitedb opens SQLite files, the only place where the driver is named.
package sqlitedb

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"syscall"

	"modernc.org/sqlite" // the driver "sqlite" too
	sqlite3 "modernc.org/sqlite/lib"

	"sallyport/internal/fault"
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

// Explain says of an error that the disk has no room, if that is what it is about: from SQLite, or from a file beside it.
func Explain(err error) error {
	own, ok := errors.AsType[*sqlite.Error](err)
	if ok && own.Code()&0xff == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Wrap(fault.ConnectionProblem, err, "the disk of the auth server is full, so that nothing can be written; make room on it")
	}
	return err
}

// Close closes the file.
func (db *DB) Close() error { return errors.Join(db.Read.Close(), db.Write.Close()) }
