package eventlog

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
)

const (
	defaultLimit = 500
	maxLimit     = 10_000
	maxPage      = 4 << 20 // bytes
)

// Query selects events. Zero fields do not restrict.
type Query struct {
	From, To   time.Time // when it happened; From included, To excluded
	Types      []string
	User       string
	SID        string
	Text       string // part of the event as a JSON text, case matters
	Limit      int    // of a page; default 500, at most 10,000
	Descending bool   // newest first
	Cursor     string // Next of the page before
}

// Page is part of a search's result. A page is also full at 4 MiB, but has at least one event if any is left.
type Page struct {
	Lines [][]byte // events with their envelope, without the end of the line
	Next  string   // cursor of the next page; empty if there is none
}

// Search returns the events that match, ordered by the time when they happened and then by log index.
// Everything that was stored before the call is found.
func (l *Log) Search(ctx context.Context, query Query) (Page, error) {
	q, err := l.compile(query)
	if err != nil {
		return Page{}, err
	}
	if err := l.flush(ctx); err != nil {
		return Page{}, fmt.Errorf("indexing the audit log: %w", err)
	}
	rows, err := l.index.read.QueryContext(ctx, q.statement, q.args...)
	if err != nil {
		return Page{}, fmt.Errorf("searching the audit log: %w", err)
	}
	defer rows.Close()
	page, err := q.collect(rows)
	if err != nil {
		return Page{}, fmt.Errorf("searching the audit log: %w", err)
	}
	return page, nil
}

// search is a query that is ready to run.
type search struct {
	Query
	statement string
	args      []any
	text      []byte
	files     *reader
}

func (l *Log) compile(query Query) (*search, error) {
	if query.Limit == 0 {
		query.Limit = defaultLimit
	}
	if query.Limit < 0 || query.Limit > maxLimit {
		return nil, fault.New(fault.BadParameter, "limit %d exceeds max iteration limit %d", query.Limit, maxLimit)
	}
	q := &search{Query: query, files: &reader{dir: l.dir}}
	if query.Text != "" {
		q.text = audit.Quote(query.Text)
	}
	where, err := q.where()
	if err != nil {
		return nil, err
	}
	order := ""
	if query.Descending {
		order = " DESC"
	}
	q.statement = `SELECT e.log_index, e.time, f.name, e.offset, e.length FROM events e CROSS JOIN files f ON f.id = e.file` +
		where + ` ORDER BY e.time` + order + `, e.log_index` + order
	return q, nil
}

// where builds the conditions; what they let pass is checked against the lines.
func (q *search) where() (string, error) {
	var conditions []string
	add := func(condition string, args ...any) {
		conditions = append(conditions, condition)
		q.args = append(q.args, args...)
	}
	if !q.From.IsZero() {
		add(`e.time >= ?`, q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		add(`e.time < ?`, q.To.UnixMilli())
	}
	if len(q.Types) > 0 {
		hashes := make([]any, len(q.Types))
		for i, kind := range q.Types {
			hashes[i] = int64(hashOf(kind))
		}
		add(`e.type IN (?`+strings.Repeat(`,?`, len(hashes)-1)+`)`, hashes...)
		if !slices.ContainsFunc(q.Types, isBulk) {
			add(`e.bulk = 0`)
		}
	}
	if q.User != "" {
		add(`e.user = ?`, int64(hashOf(q.User)))
	}
	if q.SID != "" {
		sid, err := uuid.Parse(q.SID)
		if err != nil {
			return "", fault.New(fault.BadParameter, "%q is not a session id", q.SID)
		}
		add(`e.session > 0 AND e.session IN (SELECT id FROM sessions WHERE sid = ?)`, sid[:])
	}
	if q.Cursor != "" {
		var at, index int64
		if n, err := fmt.Sscanf(q.Cursor, "%d-%d", &at, &index); n != 2 || err != nil {
			return "", fault.New(fault.BadParameter, "%q is not a place in the audit log", q.Cursor)
		}
		operator := `>`
		if q.Descending {
			operator = `<`
		}
		add(`(e.time, e.log_index) `+operator+` (?, ?)`, at, index)
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return ` WHERE ` + strings.Join(conditions, ` AND `), nil
}

// collect reads the lines of a page.
func (q *search) collect(rows *sql.Rows) (page Page, err error) {
	defer func() { err = errors.Join(err, q.files.close()) }()
	var cursor string
	total := 0
	for rows.Next() {
		var index, at, offset int64
		var name string
		var length int
		if err := rows.Scan(&index, &at, &name, &offset, &length); err != nil {
			return page, err
		}
		if len(page.Lines) == q.Limit || total+length > maxPage && len(page.Lines) > 0 {
			page.Next = cursor
			return page, nil
		}
		line, err := q.files.line(name, offset, length)
		if err != nil {
			return page, err
		}
		matches, err := q.matches(line)
		if err != nil {
			return page, err
		}
		if matches {
			page.Lines = append(page.Lines, line)
			cursor = fmt.Sprintf("%d-%d", at, index)
			total += length
		}
	}
	return page, rows.Err()
}

// matches checks a line against what the index knows only as a hash, and for the text.
func (q *search) matches(line []byte) (bool, error) {
	if q.text != nil && !bytes.Contains(line, q.text) {
		return false, nil
	}
	if len(q.Types) == 0 && q.User == "" {
		return true, nil
	}
	event, _, err := SplitLine(line)
	if err != nil {
		return false, err
	}
	f, err := audit.Parse(event)
	if err != nil {
		return false, err
	}
	return (len(q.Types) == 0 || slices.Contains(q.Types, f.Type)) && (q.User == "" || q.User == f.User), nil
}

// reader reads lines from any of the log's files.
type reader struct {
	dir   string
	files map[string]*os.File
}

func (r *reader) line(name string, offset int64, length int) ([]byte, error) {
	file, ok := r.files[name]
	if !ok {
		opened, err := os.Open(filepath.Join(r.dir, name))
		if err != nil {
			return nil, err
		}
		if r.files == nil {
			r.files = make(map[string]*os.File)
		}
		r.files[name] = opened
		file = opened
	}
	line := make([]byte, length)
	if _, err := file.ReadAt(line, offset); err != nil {
		return nil, fmt.Errorf("reading %s at %d: %w", name, offset, err)
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

func (r *reader) close() error {
	var err error
	for _, file := range r.files {
		err = errors.Join(err, file.Close())
	}
	r.files = nil
	return err
}
