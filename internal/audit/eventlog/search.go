package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
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
	s, err := newSearch(query)
	if err != nil {
		return Page{}, err
	}
	if err := l.flush(ctx); err != nil {
		return Page{}, fmt.Errorf("indexing the audit log: %w", err)
	}
	statement, args := s.statement()
	if s.reader, err = l.newReader(ctx, statement, args...); err != nil {
		return Page{}, fmt.Errorf("searching the audit log: %w", err)
	}
	page, err := s.run()
	if err = errors.Join(err, s.reader.close()); err != nil {
		return Page{}, fmt.Errorf("searching the audit log: %w", err)
	}
	return page, nil
}

// moment is where an event stands in the order of a search.
type moment struct{ time, index int64 }

func (p moment) compare(other moment) int {
	if p.time != other.time {
		if p.time < other.time {
			return -1
		}
		return 1
	}
	return int(p.index - other.index)
}

func (p moment) cursor() string { return fmt.Sprintf("%d.%d", p.time, p.index) }

func parseCursor(text string) (*moment, error) {
	at, index, _ := strings.Cut(text, ".")
	p := &moment{}
	var err, err2 error
	p.time, err = strconv.ParseInt(at, 10, 64)
	p.index, err2 = strconv.ParseInt(index, 10, 64)
	return p, errors.Join(err, err2)
}

func (e *entry) moment() moment { return moment{e.fields.Time.UnixMilli(), e.index} }

// search is a query under way.
type search struct {
	Query
	from, to int64 // Unix milliseconds
	sid      uuid.UUID
	needles  [][]byte // what a matching line has all of
	types    [][]byte // what it has one of
	cursor   *moment

	reader *reader
	ahead  *chunk   // the next chunk, not read yet
	found  []*entry // matching events of the chunks that were read, in the order of the search
}

func newSearch(query Query) (*search, error) {
	s := &search{Query: query, from: math.MinInt64, to: math.MaxInt64}
	if s.Limit == 0 {
		s.Limit = defaultLimit
	}
	if s.Limit < 0 || s.Limit > maxLimit {
		return nil, fault.New(fault.BadParameter, "limit %d exceeds max iteration limit %d", s.Limit, maxLimit)
	}
	if !s.From.IsZero() {
		s.from = s.From.UnixMilli()
	}
	if !s.To.IsZero() {
		s.to = s.To.UnixMilli()
	}
	if s.Text != "" {
		s.needles = append(s.needles, audit.Quote(s.Text))
	}
	if s.User != "" {
		s.needles = append(s.needles, slices.Concat([]byte(`"user":"`), audit.Quote(s.User), []byte(`"`)))
	}
	for _, kind := range s.Types {
		s.types = append(s.types, []byte(`"event":"`+kind+`"`))
	}
	var err error
	if s.SID != "" {
		if s.sid, err = parseSID(s.SID); err != nil {
			return nil, err
		}
		s.needles = append(s.needles, []byte(`"sid":"`+s.sid.String()+`"`))
	}
	if s.Cursor != "" {
		if s.cursor, err = parseCursor(s.Cursor); err != nil {
			return nil, fault.New(fault.BadParameter, "%q is not a place in the audit log", s.Cursor)
		}
	}
	return s, nil
}

// statement returns what selects the chunks that may hold matching events, in the order of their
// earliest event or, descending, of their latest.
func (s *search) statement() (string, []any) {
	from, to := s.from, s.to
	index, order := "chunks_low", "c.low, c.id"
	if s.Descending {
		index, order = "chunks_high", "c.high DESC, c.id DESC"
	}
	if s.cursor != nil && s.Descending {
		to = min(to, s.cursor.time+1)
	} else if s.cursor != nil {
		from = max(from, s.cursor.time)
	}
	// No chunk spans more than chunkSpan, so that each condition implies one on the other end.
	var where strings.Builder
	where.WriteString(`c.high >= ? AND c.low >= ? AND c.low < ? AND c.high < ?`)
	args := []any{from, max(from, math.MinInt64+chunkSpan) - chunkSpan, to, min(to, math.MaxInt64-chunkSpan) + chunkSpan}
	for _, keys := range s.keys() {
		where.WriteString(` AND c.id IN (SELECT chunk FROM keys WHERE key IN (?` + strings.Repeat(`, ?`, len(keys)-1) + `))`)
		for _, key := range keys {
			args = append(args, key)
		}
	}
	return chunkColumns + `INDEXED BY ` + index + ` CROSS JOIN files f ON f.id = c.file WHERE ` + where.String() + ` ORDER BY ` + order, args
}

// keys returns lists of keys: a chunk must have at least one of each.
func (s *search) keys() (lists [][]int64) {
	if len(s.Types) > 0 && !slices.ContainsFunc(s.Types, isBulk) {
		types := make([]int64, len(s.Types))
		for i, kind := range s.Types {
			types[i] = typeKey(kind)
		}
		lists = append(lists, types)
	}
	if s.User != "" {
		lists = append(lists, []int64{userKey(s.User)})
	}
	if s.SID != "" {
		lists = append(lists, []int64{sessionKeyOf(s.sid)})
	}
	return lists
}

// run collects one page.
func (s *search) run() (page Page, err error) {
	if s.ahead, err = s.reader.next(); err != nil {
		return page, err
	}
	total := 0
	var last moment
	for {
		e, err := s.next()
		if err != nil || e == nil {
			return page, err
		}
		if total += len(e.line); len(page.Lines) == s.Limit || total > maxPage && len(page.Lines) > 0 {
			page.Next = last.cursor()
			return page, nil
		}
		page.Lines = append(page.Lines, e.line)
		last = e.moment()
	}
}

// next returns the next matching event, or nil at the end.
func (s *search) next() (*entry, error) {
	for s.ahead != nil && s.mayPrecede() {
		if err := s.reader.each(s.ahead, s.wants, s.take); err != nil {
			return nil, err
		}
		slices.SortFunc(s.found, func(a, b *entry) int {
			if s.Descending {
				return b.moment().compare(a.moment())
			}
			return a.moment().compare(b.moment())
		})
		var err error
		if s.ahead, err = s.reader.next(); err != nil {
			return nil, err
		}
	}
	if len(s.found) == 0 {
		return nil, nil
	}
	e := s.found[0]
	s.found = s.found[1:]
	return e, nil
}

// mayPrecede reports whether the chunk ahead may hold an event that comes before those found.
func (s *search) mayPrecede() bool {
	if len(s.found) == 0 {
		return true
	}
	first := s.found[0].moment()
	if s.Descending {
		return first.compare(moment{s.ahead.high, s.ahead.next - 1}) < 0
	}
	return moment{s.ahead.low, s.ahead.id}.compare(first) < 0
}

// wants is a look at a line that is not taken apart yet: what it refuses cannot match.
func (s *search) wants(line []byte) bool {
	for _, needle := range s.needles {
		if !bytes.Contains(line, needle) {
			return false
		}
	}
	return len(s.types) == 0 || slices.ContainsFunc(s.types, func(kind []byte) bool { return bytes.Contains(line, kind) })
}

// take keeps an event that matches.
func (s *search) take(e entry) {
	f, at := &e.fields, e.moment()
	switch {
	case at.time < s.from || at.time >= s.to,
		len(s.Types) > 0 && !slices.Contains(s.Types, f.Type),
		s.User != "" && s.User != f.User,
		s.SID != "" && s.sid != f.SID,
		s.cursor != nil && s.Descending && at.compare(*s.cursor) >= 0,
		s.cursor != nil && !s.Descending && at.compare(*s.cursor) <= 0:
		return
	}
	s.found = append(s.found, &e)
}
