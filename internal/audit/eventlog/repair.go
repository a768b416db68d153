package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"sallyport/internal/audit"
)

// repair brings files, index and memory into agreement, from whatever state. Lines win over the index.
// Called with flushing and mu held.
func (l *Log) repair(ctx context.Context) error {
	if l.cut != nil {
		if err := truncateFile(filepath.Join(l.dir, l.cut.name), l.cut.size); err != nil {
			return fmt.Errorf("cutting off what was not stored: %w", err)
		}
		l.cut, l.distrust = nil, true
	}
	names, err := l.fileNames()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		l.name = names[len(names)-1]
		if err := l.cutTorn(l.name); err != nil {
			return err
		}
	}
	if err := l.index.forgetFiles(ctx, l.dir); err != nil {
		return err
	}
	l.streams, l.sessions = make(map[streamKey]uint64), make(map[uuid.UUID]*sessionAt)
	l.rows, l.lagging = nil, false
	if err := l.catchUp(ctx, names, -1); err != nil {
		return err
	}
	if l.next, err = l.index.next(ctx); err != nil {
		return err
	}
	l.synced = l.next
	l.own, err = l.streamNext(ctx, streamKey{l.config.HostID, l.stream})
	return err
}

// cutTorn removes what a crash left of a line at the end of the last file.
func (l *Log) cutTorn(name string) error {
	path := filepath.Join(l.dir, name)
	end, size, err := lastLineEnd(path)
	if err != nil {
		return err
	}
	if end < size {
		l.config.Log.Warn("cut an incomplete line off the audit log", "file", name, "offset", end, "bytes", size-end)
	}
	return truncateFile(path, end)
}

// lastLineEnd returns where the last complete line ends, and the size of the file.
func lastLineEnd(path string) (end, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	buffer := make([]byte, 64<<10)
	for end = info.Size(); end > 0; {
		from := max(0, end-int64(len(buffer)))
		part := buffer[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return from + int64(at) + 1, info.Size(), nil
		}
		end = from
	}
	return 0, info.Size(), nil
}

// truncateFile cuts a file and makes its content durable.
func truncateFile(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() > size {
		err = file.Truncate(size)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// catchUp reads the lines that the index does not have, the last file up to limit unless that is negative.
func (l *Log) catchUp(ctx context.Context, names []string, limit int64) error {
	for i, name := range names {
		from, err := l.index.indexed(ctx, name)
		if err != nil {
			return err
		}
		end := int64(math.MaxInt64)
		if i == len(names)-1 && limit >= 0 {
			end = limit
		}
		if err := l.indexFile(ctx, name, from, end); err != nil {
			return fmt.Errorf("indexing %s: %w", name, err)
		}
	}
	return nil
}

// indexFile adds the lines of a file between two offsets to the index.
func (l *Log) indexFile(ctx context.Context, name string, from, end int64) error {
	file, err := os.Open(filepath.Join(l.dir, name))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(io.NewSectionReader(file, from, end-from), 256<<10)
	var rows []row
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err == nil {
			if r, ok := l.rowOf(line, span{name, from, len(line)}); ok {
				rows = append(rows, r)
			}
			from += int64(len(line))
			if len(rows) < 10*chunkLines {
				continue
			}
		}
		if len(rows) > 0 {
			if err := l.index.insert(ctx, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
		if err != nil {
			return nil
		}
	}
}

// rowOf reads a line of the log. A line that is damaged stays out of the index, and in its file.
func (l *Log) rowOf(line []byte, at span) (row, bool) {
	event, envelope, err := SplitLine(line)
	var f audit.Fields
	if err == nil {
		f, err = audit.Parse(event)
	}
	if err != nil {
		l.config.Log.Error("a line of the audit log is damaged", "file", at.name, "offset", at.offset, "error", err)
		return row{}, false
	}
	return newRow(&f, &envelope, at), true
}

func (x *index) indexed(ctx context.Context, name string) (size int64, err error) {
	err = x.Write.QueryRowContext(ctx, `SELECT coalesce(max(indexed), 0) FROM files WHERE name = ?`, name).Scan(&size)
	return size, err
}

// forgetFiles removes from the index what it says about lines that are not there: those of a file that
// was moved away, or everything if a file is shorter than it was.
func (x *index) forgetFiles(ctx context.Context, dir string) error {
	sizes, err := x.fileSizes(ctx)
	if err != nil {
		return err
	}
	for name, indexed := range sizes {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := x.forgetFile(ctx, name); err != nil {
				return err
			}
		case err != nil:
			return err
		case info.Size() < indexed:
			return x.exec(ctx, `BEGIN; `+empty+` COMMIT;`)
		}
	}
	return nil
}

func (x *index) forgetFile(ctx context.Context, name string) error {
	for _, statement := range []string{
		`DELETE FROM keys WHERE chunk IN (SELECT c.id FROM chunks c JOIN files f ON f.id = c.file WHERE f.name = ?)`,
		`DELETE FROM chunks WHERE file = (SELECT id FROM files WHERE name = ?)`,
		`DELETE FROM files WHERE name = ?`,
	} {
		if err := x.exec(ctx, statement, name); err != nil {
			return err
		}
	}
	return nil
}

func (x *index) fileSizes(ctx context.Context) (map[string]int64, error) {
	rows, err := x.Write.QueryContext(ctx, `SELECT name, indexed FROM files`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sizes := make(map[string]int64)
	for rows.Next() {
		var name string
		var indexed int64
		if err := rows.Scan(&name, &indexed); err != nil {
			return nil, err
		}
		sizes[name] = indexed
	}
	return sizes, rows.Err()
}
