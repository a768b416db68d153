// Package storetest is the suite that every store passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/store"
)

// Clock is a clock that tests move. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that stands still at a fixed moment.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Harness makes one empty store for one test; expire removes what has expired.
type Harness func(t *testing.T, clock *Clock) (s store.Store, expire func())

// Run runs every check of the suite against stores made by the harness.
func Run(t *testing.T, harness Harness) {
	for name, check := range map[string]func(*testing.T, store.Store, *Clock, func()){
		"create refuses a key that is there":   createRefuses,
		"put replaces and raises the revision": putReplaces,
		"swap needs the stored revision":       swapNeedsRevision,
		"of many swaps one wins":               oneSwapWins,
		"delete":                               deletes,
		"list by prefix, in order, in pages":   lists,
		"an expired item is gone":              expires,
		"a watcher sees changes in order":      watches,
		"a slow watcher is cut off":            slowWatcher,
		"bad items are refused":                badItems,
		"values are not shared":                notShared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			s, expire := harness(t, clock)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			check(t, s, clock, expire)
		})
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func put(t *testing.T, s store.Store, key, value string) uint64 {
	t.Helper()
	revision, err := s.Put(context.Background(), store.Item{Key: key, Value: []byte(value)})
	ok(t, err)
	return revision
}

func value(t *testing.T, s store.Store, key string) string {
	t.Helper()
	item, err := s.Get(context.Background(), key)
	ok(t, err)
	return string(item.Value)
}

func createRefuses(t *testing.T, s store.Store, _ *Clock, _ func()) {
	_, err := s.Create(t.Context(), store.Item{Key: "/a/1", Value: []byte("first")})
	ok(t, err)
	_, err = s.Create(t.Context(), store.Item{Key: "/a/1", Value: []byte("second")})
	want(t, err, store.ErrExists)
	if got := value(t, s, "/a/1"); got != "first" {
		t.Fatalf("value is %q", got)
	}
}

func putReplaces(t *testing.T, s store.Store, _ *Clock, _ func()) {
	first := put(t, s, "/a/1", "x")
	other := put(t, s, "/a/2", "y")
	second := put(t, s, "/a/1", "z")
	if first >= other || other >= second {
		t.Fatalf("revisions %d, %d, %d do not grow", first, other, second)
	}
	item, err := s.Get(t.Context(), "/a/1")
	ok(t, err)
	if string(item.Value) != "z" || item.Revision != second {
		t.Fatalf("got %q at %d, want z at %d", item.Value, item.Revision, second)
	}
}

func swapNeedsRevision(t *testing.T, s store.Store, _ *Clock, _ func()) {
	_, err := s.Swap(t.Context(), store.Item{Key: "/a/1", Value: []byte("x"), Revision: 1})
	want(t, err, store.ErrNotFound)
	first := put(t, s, "/a/1", "x")
	second, err := s.Swap(t.Context(), store.Item{Key: "/a/1", Value: []byte("y"), Revision: first})
	ok(t, err)
	_, err = s.Swap(t.Context(), store.Item{Key: "/a/1", Value: []byte("z"), Revision: first})
	want(t, err, store.ErrChanged)
	if got := value(t, s, "/a/1"); got != "y" {
		t.Fatalf("value is %q", got)
	}
	want(t, s.Delete(t.Context(), "/a/1", first), store.ErrChanged)
	ok(t, s.Delete(t.Context(), "/a/1", second))
}

func oneSwapWins(t *testing.T, s store.Store, _ *Clock, _ func()) {
	first := put(t, s, "/a/1", "x")
	var wg sync.WaitGroup
	won := make(chan int, 16)
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Swap(context.Background(), store.Item{Key: "/a/1", Value: fmt.Append(nil, i), Revision: first})
			if err == nil {
				won <- i
			} else if !errors.Is(err, store.ErrChanged) {
				t.Errorf("swap: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d swaps won", len(won))
	}
	if got := value(t, s, "/a/1"); got != fmt.Sprint(<-won) {
		t.Fatalf("value is %q", got)
	}
}

func deletes(t *testing.T, s store.Store, _ *Clock, _ func()) {
	want(t, s.Delete(t.Context(), "/a/1", 0), store.ErrNotFound)
	put(t, s, "/a/1", "x")
	ok(t, s.Delete(t.Context(), "/a/1", 0))
	_, err := s.Get(t.Context(), "/a/1")
	want(t, err, store.ErrNotFound)
	_, err = s.Create(t.Context(), store.Item{Key: "/a/1"})
	ok(t, err)
}

func lists(t *testing.T, s store.Store, _ *Clock, _ func()) {
	for _, key := range []string{"/a/2", "/a/1", "/ab/1", "/a/3", "/a/é", "/a/%", "/b/1"} {
		put(t, s, key, key)
	}
	wantKeys := []string{"/a/%", "/a/1", "/a/2", "/a/3", "/a/é"}
	var got []string
	after := ""
	for {
		page, err := s.List(t.Context(), "/a/", after, 2)
		ok(t, err)
		if len(page) == 0 {
			break
		}
		if len(page) > 2 {
			t.Fatalf("page of %d", len(page))
		}
		for _, item := range page {
			if item.Key != string(item.Value) {
				t.Fatalf("key %s has value %s", item.Key, item.Value)
			}
			got = append(got, item.Key)
		}
		after = page[len(page)-1].Key
	}
	if !slices.Equal(got, wantKeys) {
		t.Fatalf("got %q, want %q", got, wantKeys)
	}
	all, err := s.List(t.Context(), "/a/", "", 0)
	ok(t, err)
	if len(all) != len(wantKeys) {
		t.Fatalf("without limit: %d items", len(all))
	}
}

func expires(t *testing.T, s store.Store, clock *Clock, expire func()) {
	_, err := s.Put(t.Context(), store.Item{Key: "/a/1", Value: []byte("x"), Expires: clock.Now().Add(time.Minute)})
	ok(t, err)
	put(t, s, "/a/2", "stays")
	watcher := s.Watch("/a/")
	defer watcher.Close()
	clock.Advance(time.Minute - time.Millisecond)
	if got := value(t, s, "/a/1"); got != "x" {
		t.Fatalf("value is %q", got)
	}
	clock.Advance(time.Millisecond)
	_, err = s.Get(t.Context(), "/a/1")
	want(t, err, store.ErrNotFound)
	items, err := s.List(t.Context(), "/a/", "", 0)
	ok(t, err)
	if len(items) != 1 {
		t.Fatalf("listed %d items", len(items))
	}
	_, err = s.Swap(t.Context(), store.Item{Key: "/a/1", Revision: 1})
	want(t, err, store.ErrNotFound)
	expire()
	change := <-watcher.C
	if !change.Deleted || change.Item.Key != "/a/1" {
		t.Fatalf("watcher saw %+v", change)
	}
	_, err = s.Create(t.Context(), store.Item{Key: "/a/1"})
	ok(t, err)
}

func watches(t *testing.T, s store.Store, _ *Clock, _ func()) {
	put(t, s, "/a/before", "x")
	watcher := s.Watch("/a/", "/c/")
	put(t, s, "/a/1", "one")
	put(t, s, "/b/1", "not wanted")
	put(t, s, "/c/1", "two")
	ok(t, s.Delete(t.Context(), "/a/1", 0))
	for i, want := range []struct {
		key, value string
		deleted    bool
	}{{"/a/1", "one", false}, {"/c/1", "two", false}, {"/a/1", "", true}} {
		change := <-watcher.C
		if change.Item.Key != want.key || string(change.Item.Value) != want.value || change.Deleted != want.deleted {
			t.Fatalf("change %d is %+v, want %+v", i, change, want)
		}
	}
	watcher.Close()
	watcher.Close()
	if _, open := <-watcher.C; open {
		t.Fatal("closed watcher still open")
	}
}

func slowWatcher(t *testing.T, s store.Store, _ *Clock, _ func()) {
	watcher := s.Watch("/a/")
	big := s.Watch("/none/")
	defer big.Close()
	for i := range 5000 {
		put(t, s, "/a/1", fmt.Sprint(i))
	}
	n := 0
	for range watcher.C { // ends because the watcher was cut off
		n++
	}
	if n == 0 || n >= 5000 {
		t.Fatalf("slow watcher received %d changes", n)
	}
}

func badItems(t *testing.T, s store.Store, _ *Clock, _ func()) {
	for name, item := range map[string]store.Item{
		"no slash":    {Key: "a"},
		"long key":    {Key: "/" + strings.Repeat("k", store.MaxKey)},
		"zero byte":   {Key: "/a\x00b"},
		"large value": {Key: "/a", Value: make([]byte, store.MaxValue+1)},
	} {
		if _, err := s.Put(t.Context(), item); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func notShared(t *testing.T, s store.Store, _ *Clock, _ func()) {
	mine := []byte("mine")
	_, err := s.Put(t.Context(), store.Item{Key: "/a/1", Value: mine})
	ok(t, err)
	mine[0] = 'X'
	if got := value(t, s, "/a/1"); got != "mine" {
		t.Fatalf("value is %q", got)
	}
}
