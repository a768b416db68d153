package sqlitedb_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport/internal/fault"
	"sallyport/internal/sqlitedb"
)

func TestAFullDiskIsTold(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(filepath.Join(t.TempDir(), "db"), "OFF", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Write.Exec("CREATE TABLE t (v BLOB); PRAGMA max_page_count = 10"); err != nil {
		t.Fatal(err)
	}
	_, full := db.Write.Exec("INSERT INTO t VALUES (zeroblob(1000000))")
	_, other := db.Write.Exec("INSERT INTO nothing VALUES (1)")
	for name, c := range map[string]struct {
		err  error
		told bool
	}{
		"SQLite has no room":   {fmt.Errorf("committing: %w", full), true},
		"a file has no room":   {fmt.Errorf("writing: %w", syscall.ENOSPC), true},
		"another error of it":  {other, false},
		"another error at all": {errors.New("something"), false},
		"no error":             {nil, false},
	} {
		if got := sqlitedb.Explain(c.err); fault.Is(got, fault.ConnectionProblem) != c.told || !errors.Is(got, c.err) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
