package eventlog_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/audit/eventlog"
)

// copyDir copies the log's files as a crash would leave them.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func linesFile(dir string) string { return filepath.Join(dir, authHost, "2024-03-05.00:00:00.log") }

// TestCrashAtAnyPoint cuts the file of lines anywhere, with an index that knows more, less or nothing,
// and then delivers the whole stream again.
func TestCrashAtAnyPoint(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	l := open(t, config(source))
	e := newEmitter(t)
	lines := e.lines(t, 120)
	whole := e.batch(lines...)
	half := whole
	half.Lines = lines[:60]
	appendBatch(t, l, half, 60)
	all(t, l, eventlog.Query{}) // brings the index up to here
	behind := t.TempDir()
	copyDir(t, source, filepath.Join(behind, "log"))
	appendBatch(t, l, whole, 60)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(linesFile(source))
	if err != nil {
		t.Fatal(err)
	}
	indexes := map[string]func(dir string){
		"an index that knows more": func(string) {},
		"an index that knows less": func(dir string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				os.Remove(filepath.Join(dir, "index.db"+suffix)) //nolint:errcheck // may be missing
				if old, err := os.ReadFile(filepath.Join(behind, "log", "index.db"+suffix)); err == nil {
					if err := os.WriteFile(filepath.Join(dir, "index.db"+suffix), old, 0o640); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"no index": func(dir string) {
			if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
				t.Fatal(err)
			}
		},
		"an index that is no database": func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, "index.db"), bytes.Repeat([]byte("x"), 8192), 0o640); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range indexes {
		t.Run(name, func(t *testing.T) {
			for range 6 {
				size := rand.IntN(len(data) + 1)
				dir := filepath.Join(t.TempDir(), "log")
				copyDir(t, source, dir)
				spoil(dir)
				if err := os.Truncate(linesFile(dir), int64(size)); err != nil {
					t.Fatal(err)
				}
				l := open(t, config(dir))
				if got, want := len(check(t, l, dir)), bytes.Count(data[:size], []byte("\n")); got != want {
					t.Fatalf("cut at %d: %d events, want %d", size, got, want)
				}
				if _, err := l.Append(t.Context(), whole); err != nil {
					t.Fatal(err)
				}
				for i, event := range check(t, l, dir) {
					if !bytes.Equal(event, lines[i]) {
						t.Fatalf("cut at %d: event %d is %s", size, i, event)
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestDamagedLineDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 10)...), 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(linesFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] = 0
	if err := os.WriteFile(linesFile(dir), data, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	if found := all(t, l, eventlog.Query{}); len(found) != 9 {
		t.Errorf("%d events are found, want 9", len(found))
	}
	appendBatch(t, l, e.batch(e.lines(t, 1)...), 1)
	if found := all(t, l, eventlog.Query{}); len(found) != 10 {
		t.Errorf("%d events are found, want 10", len(found))
	}
}

func TestFileThatWasMovedAwayIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := &clock{now: noon}
	cfg := config(dir)
	cfg.Now = now.Now
	l := open(t, cfg)
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 10)...), 10)
	now.set(noon.AddDate(0, 0, 1))
	appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(linesFile(dir), filepath.Join(t.TempDir(), "archive")); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
	found := all(t, l, eventlog.Query{})
	if len(found) != 10 {
		t.Fatalf("%d events are found, want 10", len(found))
	}
	if _, envelope, err := eventlog.SplitLine(found[9]); err != nil || envelope.Index != 19 {
		t.Errorf("the log goes on at %d, want 19; %v", envelope.Index, err)
	}
}
