// Package memory is a store that lives and dies with the process: for tests, and as the plainest
// example of what a store must do.
package memory

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"sallyport/internal/store"
)

// Store keeps items in a map.
type Store struct {
	hub store.Hub
	now func() time.Time

	mu       sync.Mutex
	items    map[string]store.Item // guarded by mu
	revision uint64                // guarded by mu
}

var _ store.Store = (*Store)(nil)

// New returns an empty store that tells time by now.
func New(now func() time.Time) *Store {
	return &Store{now: now, items: make(map[string]store.Item)}
}

// Create implements store.Store.
func (s *Store) Create(_ context.Context, item store.Item) (uint64, error) {
	return s.write(item, func(_ store.Item, found bool) error {
		if found {
			return store.ErrExists
		}
		return nil
	})
}

// Put implements store.Store.
func (s *Store) Put(_ context.Context, item store.Item) (uint64, error) {
	return s.write(item, func(store.Item, bool) error { return nil })
}

// Swap implements store.Store.
func (s *Store) Swap(_ context.Context, item store.Item) (uint64, error) {
	return s.write(item, func(old store.Item, found bool) error {
		switch {
		case !found:
			return store.ErrNotFound
		case old.Revision != item.Revision:
			return store.ErrChanged
		}
		return nil
	})
}

func (s *Store) write(item store.Item, check func(old store.Item, found bool) error) (uint64, error) {
	if err := store.Check(item); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	old, found := s.items[item.Key]
	if err := check(old, found); err != nil {
		return 0, err
	}
	s.revision++
	item.Revision = s.revision
	item.Value = append([]byte(nil), item.Value...)
	s.items[item.Key] = item
	s.hub.Publish(store.Change{Item: item})
	return item.Revision, nil
}

// Get implements store.Store.
func (s *Store) Get(_ context.Context, key string) (store.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	item, ok := s.items[key]
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	return item, nil
}

// List implements store.Store.
func (s *Store) List(_ context.Context, prefix, after string, limit int) ([]store.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	var items []store.Item
	for key, item := range s.items {
		if strings.HasPrefix(key, prefix) && key > after {
			items = append(items, item)
		}
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Key < items[j].Key })
	if limit > 0 && len(items) > limit {
		items = items[:limit]
	}
	return items, nil
}

// Delete implements store.Store.
func (s *Store) Delete(_ context.Context, key string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	item, ok := s.items[key]
	switch {
	case !ok:
		return store.ErrNotFound
	case revision != 0 && item.Revision != revision:
		return store.ErrChanged
	}
	s.remove(key)
	return nil
}

// Watch implements store.Store.
func (s *Store) Watch(prefixes ...string) *store.Watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub.Watch(prefixes...)
}

// Expire removes what has expired now. Every other call does so too.
func (s *Store) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
}

func (s *Store) expire() {
	now := s.now()
	for key, item := range s.items {
		if !item.Expires.IsZero() && !now.Before(item.Expires) {
			s.remove(key)
		}
	}
}

func (s *Store) remove(key string) {
	delete(s.items, key)
	s.revision++
	s.hub.Publish(store.Change{Deleted: true, Item: store.Item{Key: key, Revision: s.revision}})
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.hub.CloseWatchers()
	return nil
}
