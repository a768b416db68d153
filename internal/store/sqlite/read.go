package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/store"
)

const columns = `SELECT key, value, expires, revision FROM items `

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	row := s.db.Read.QueryRowContext(ctx, columns+`WHERE key = ? AND (expires = 0 OR expires > ?)`, key, s.now().UnixMilli())
	item, err := scan(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Item{}, store.ErrNotFound
	}
	return item, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if limit <= 0 {
		limit = -1 // SQLite's "no limit"
	}
	rows, err := s.db.Read.QueryContext(ctx, columns+
		`WHERE key >= ? AND key > ? AND substr(key, 1, length(?)) = ? AND key < ? AND (expires = 0 OR expires > ?) ORDER BY key LIMIT ?`,
		prefix, after, prefix, prefix, prefix+"\U0010FFFF", s.now().UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", prefix, err)
	}
	defer rows.Close()
	var items []store.Item
	for rows.Next() {
		item, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing %s: %w", prefix, err)
	}
	return items, nil
}

// Expire removes what has expired now and tells watchers.
func (s *Store) Expire(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []string
	err := s.transact(ctx, func(tx *sql.Tx, _ uint64) error {
		rows, err := tx.QueryContext(ctx, `DELETE FROM items WHERE expires > 0 AND expires <= ? RETURNING key`, s.now().UnixMilli())
		if err != nil {
			return fmt.Errorf("expiring: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				return fmt.Errorf("expiring: %w", err)
			}
			gone = append(gone, key)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, key := range gone {
		s.hub.Publish(store.Change{Deleted: true, Item: store.Item{Key: key, Revision: s.revision}})
	}
	return nil
}

// Run removes expired items about once a second until the context ends.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			due, err := s.anyExpired(ctx)
			if err == nil && due {
				err = s.Expire(ctx)
			}
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (s *Store) anyExpired(ctx context.Context) (bool, error) {
	var due bool
	err := s.db.Read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM items WHERE expires > 0 AND expires <= ?)`,
		s.now().UnixMilli()).Scan(&due)
	return due, err
}

func scan(into func(...any) error) (store.Item, error) {
	var item store.Item
	var expires int64
	if err := into(&item.Key, &item.Value, &expires, &item.Revision); err != nil {
		return store.Item{}, fmt.Errorf("reading item: %w", err)
	}
	if expires != 0 {
		item.Expires = time.UnixMilli(expires).UTC()
	}
	return item, nil
}
