// Package store defines where the auth server keeps its state: a small key-value store with revisions,
// compare-and-swap, expiry and watch. Its implementations are the packages beneath it, and each passes
// the suite in storetest.
package store

import (
	"context"
	"errors"
	"time"
)

// Item is one stored value.
type Item struct {
	Key   string // "/<kind>/<name>", at most MaxKey bytes
	Value []byte // at most MaxValue bytes; never changed in place by anyone
	// Expires is when the item disappears by itself; zero means never.
	Expires time.Time
	// Revision grows with every change anywhere in the store; set by the store.
	Revision uint64
}

// Limits of an item.
const (
	MaxKey   = 512
	MaxValue = 4 << 20
)

// Errors that callers decide by. Everything else means that the store itself has failed.
var (
	ErrNotFound = errors.New("key not found")
	ErrExists   = errors.New("key exists")
	ErrChanged  = errors.New("key has changed since it was read")
)

// Store keeps items. All methods are safe for concurrent use; a change is durable when its method
// returns, and visible to every later read and every watcher.
type Store interface {
	// Create stores a new item and fails with ErrExists when the key is there.
	Create(ctx context.Context, item Item) (revision uint64, err error)
	// Put stores an item whether or not the key is there.
	Put(ctx context.Context, item Item) (revision uint64, err error)
	// Swap replaces an item whose stored revision is item.Revision, and fails with ErrChanged when it
	// is another one or with ErrNotFound when the key is gone.
	Swap(ctx context.Context, item Item) (revision uint64, err error)
	// Get returns a live item or ErrNotFound.
	Get(ctx context.Context, key string) (Item, error)
	// List returns the live items whose keys begin with prefix and come after the key given, in key
	// order; at most limit when limit > 0.
	List(ctx context.Context, prefix, after string, limit int) ([]Item, error)
	// Delete removes an item or returns ErrNotFound. With a revision other than zero it fails with
	// ErrChanged when the stored one differs.
	Delete(ctx context.Context, key string, revision uint64) error
	// Watch reports changes of keys with any of the prefixes, from the moment it returns.
	Watch(prefixes ...string) *Watcher
	// Close ends watchers and frees the store.
	Close() error
}

// Change is one change of a key.
type Change struct {
	Deleted bool // also when it expired; Item then holds only Key and Revision
	Item    Item
}
