package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/fault"
	"sallyport/internal/store"
	"sallyport/internal/store/sqlite"
	"sallyport/internal/store/storetest"
)

func open(t *testing.T, path string, clock *storetest.Clock) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, "NORMAL", clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) (store.Store, func()) {
		s := open(t, filepath.Join(t.TempDir(), "backend", "sqlite.db"), clock)
		return s, func() {
			if err := s.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReopenKeepsItemsAndRevisions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sqlite.db")
	s := open(t, path, storetest.NewClock())
	first, err := s.Put(t.Context(), store.Item{Key: "/a/1", Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, storetest.NewClock())
	defer s.Close()
	item, err := s.Get(t.Context(), "/a/1")
	if err != nil || string(item.Value) != "x" || item.Revision != first {
		t.Fatalf("got %+v, %v", item, err)
	}
	second, err := s.Put(t.Context(), store.Item{Key: "/a/2"})
	if err != nil || second <= first {
		t.Fatalf("revision %d after %d, %v", second, first, err)
	}
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "backend", "sqlite.db")
	s := open(t, path, storetest.NewClock())
	defer s.Close()
	if _, err := s.Put(t.Context(), store.Item{Key: "/a"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
}

func TestNewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sqlite.db")
	if err := open(t, path, storetest.NewClock()).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE meta SET schema = 99; ALTER TABLE items RENAME TO things`); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path, "", storetest.NewClock().Now)
	for _, part := range []string{path, "newer version", "schema 99", "start the newer version, or put back a backup"} {
		if !fault.Is(err, fault.BadParameter) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
	var tables string
	if err := db.QueryRow(`SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name)`).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != "meta,things" {
		t.Errorf("the refused store has the tables %s, want what it had, meta,things", tables)
	}
}
