package eventlog

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sallyport/internal/audit"
)

// entry is a line that was read and taken apart.
type entry struct {
	line   []byte // with the envelope, without the end
	index  int64
	fields audit.Fields // without Raw
}

// reader reads lines chunk by chunk. It is for one goroutine and must be closed.
type reader struct {
	dir    string
	rows   *sql.Rows // chunks, with the columns of chunkColumns
	files  map[string]*os.File
	buffer []byte
}

const chunkColumns = `SELECT c.id, c.next, c.low, c.high, f.name, c.offset, c.length FROM chunks c `

func (l *Log) newReader(ctx context.Context, statement string, args ...any) (*reader, error) {
	rows, err := l.index.Read.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return &reader{dir: l.dir, rows: rows, files: make(map[string]*os.File)}, nil
}

// next returns the next chunk, or nil after the last one.
func (r *reader) next() (*chunk, error) {
	if !r.rows.Next() {
		return nil, r.rows.Err()
	}
	c := &chunk{}
	return c, r.rows.Scan(&c.id, &c.next, &c.low, &c.high, &c.name, &c.offset, &c.length)
}

// each calls visit with the lines of a chunk for which want returns true. Lines that are damaged are
// passed over. The entry's line may be kept.
func (r *reader) each(c *chunk, want func(line []byte) bool, visit func(entry)) error {
	file, ok := r.files[c.name]
	if !ok {
		opened, err := os.Open(filepath.Join(r.dir, c.name))
		if err != nil {
			return err
		}
		r.files[c.name] = opened
		file = opened
	}
	if int64(cap(r.buffer)) < c.length {
		r.buffer = make([]byte, c.length)
	}
	data := r.buffer[:c.length]
	if _, err := file.ReadAt(data, c.offset); err != nil {
		return fmt.Errorf("reading %s at %d: %w", c.name, c.offset, err)
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if !want(line) {
			continue
		}
		if e, ok := parseEntry(line); ok {
			e.line = bytes.Clone(line)
			visit(e)
		}
	}
	return nil
}

// parseEntry takes a line apart without copying it, changing a byte of it meanwhile.
func parseEntry(line []byte) (e entry, ok bool) {
	at := bytes.LastIndex(line, envelopeKey)
	if at < 1 {
		return e, false
	}
	number, _, _ := bytes.Cut(line[at+len(envelopeKey):], []byte{','})
	index, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return e, false
	}
	line[at] = '}'
	fields, err := audit.Parse(line[:at+1])
	line[at] = ','
	fields.Raw = nil
	return entry{index: index, fields: fields}, err == nil
}

func (r *reader) close() error {
	err := r.rows.Close()
	for _, file := range r.files {
		err = errors.Join(err, file.Close())
	}
	return err
}
