package eventlog_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/fault"
)

// place is where an event stands in the order of a search.
type place struct {
	time  int64
	index int64
}

func placeOf(t testing.TB, line []byte) place {
	t.Helper()
	event, envelope, err := eventlog.SplitLine(line)
	if err != nil {
		t.Fatal(err)
	}
	f, err := audit.Parse(event)
	if err != nil {
		t.Fatal(err)
	}
	return place{f.Time.UnixMilli(), envelope.Index}
}

func compare(a, b place) int {
	if a.time != b.time {
		return int(a.time - b.time)
	}
	return int(a.index - b.index)
}

func TestPagesAreInOrderAndCompleteBothWays(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	for range 10 {
		e.now = noon.Add(time.Duration(rand.IntN(5)) * time.Second) // many at the same time, and out of order
		lines := e.lines(t, 1+rand.IntN(30))
		appendBatch(t, l, e.batch(lines...), len(lines))
	}
	total := len(all(t, l, eventlog.Query{Limit: 10_000}))
	if total != int(e.next) {
		t.Fatalf("%d of %d events", total, e.next)
	}
	for _, descending := range []bool{false, true} {
		for _, limit := range []int{3, 100} {
			var places []place
			for _, line := range all(t, l, eventlog.Query{Limit: limit, Descending: descending}) {
				places = append(places, placeOf(t, line))
			}
			if descending {
				slices.Reverse(places)
			}
			if len(places) != total || !slices.IsSortedFunc(places, compare) || len(slices.Compact(places)) != total {
				t.Errorf("pages of %d, descending %v: %d of %d events, or out of order", limit, descending, len(places), total)
			}
		}
	}
}

// TestSearchAgreesWithLookingAtEveryEvent compares random searches with a walk over all events, in a log
// whose events come from several agents, days late and out of order.
func TestSearchAgreesWithLookingAtEveryEvent(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	users := []string{"alice", "bea", "carl"}
	agents := make([]*emitter, 3)
	for i := range agents {
		agents[i] = newEmitter(t)
	}
	type event struct {
		moment place
		fields audit.Fields
	}
	var events []event
	index := int64(0)
	for range 60 {
		e := agents[rand.IntN(len(agents))]
		if rand.IntN(5) == 0 {
			e.login(t, users[rand.IntN(len(users))])
		}
		e.now = noon.Add(time.Duration(rand.IntN(100_000)) * time.Second)
		lines := e.lines(t, 1+rand.IntN(20))
		appendBatch(t, l, e.batch(lines...), len(lines))
		for _, line := range lines {
			f, err := audit.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, event{place{f.Time.UnixMilli(), index}, f})
			index++
		}
		if rand.IntN(10) == 0 {
			all(t, l, eventlog.Query{Limit: 1, To: noon}) // ends a chunk here
		}
	}
	types := [][]string{nil, {"db.session.start"}, {"db.session.query"}, {"db.session.start", "db.session.result"}, {"db.session.end", "db.session.start"}}
	for range 80 {
		query := eventlog.Query{Limit: 10 + rand.IntN(200), Descending: rand.IntN(2) == 0, Types: types[rand.IntN(len(types))]}
		if rand.IntN(2) == 0 {
			query.From = noon.Add(time.Duration(rand.IntN(100_000)) * time.Second)
		}
		if rand.IntN(2) == 0 {
			query.To = noon.Add(time.Duration(rand.IntN(100_000)) * time.Second)
		}
		if rand.IntN(3) == 0 {
			query.User = users[rand.IntN(len(users))]
		}
		if rand.IntN(6) == 0 {
			query.SID = events[rand.IntN(len(events))].fields.SID.String()
		}
		var want []place
		for _, e := range events {
			at := e.moment.time
			if (query.From.IsZero() || at >= query.From.UnixMilli()) && (query.To.IsZero() || at < query.To.UnixMilli()) &&
				(query.Types == nil || slices.Contains(query.Types, e.fields.Type)) && (query.User == "" || query.User == e.fields.User) &&
				(query.SID == "" || query.SID == e.fields.SID.String()) {
				want = append(want, e.moment)
			}
		}
		slices.SortFunc(want, compare)
		if query.Descending {
			slices.Reverse(want)
		}
		var got []place
		for _, line := range all(t, l, query) {
			got = append(got, placeOf(t, line))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: %d events, want %d, or another order", query, len(got), len(want))
		}
	}
}

func TestNewEventsDoNotDisturbPaging(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 20)...), 20)
	for _, descending := range []bool{false, true} {
		query := eventlog.Query{Limit: 5, Descending: descending}
		seen := make(map[int64]bool)
		for {
			page, err := l.Search(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range page.Lines {
				at := placeOf(t, line)
				if seen[at.index] {
					t.Fatalf("event %d twice", at.index)
				}
				seen[at.index] = true
			}
			if page.Next == "" || len(seen) > 40 {
				break
			}
			query.Cursor = page.Next
			appendBatch(t, l, e.batch(e.lines(t, 1)...), 1)
		}
		for index := range int64(20) {
			if !seen[index] {
				t.Errorf("descending %v: event %d was passed over", descending, index)
			}
		}
	}
}

func TestSearchSelects(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 7)...), 7) // start, then statements 1, 3, 5 with results
	bea := e.chain.SID()
	e.now = noon.Add(time.Minute)
	e.login(t, "carl")
	appendBatch(t, l, e.batch(e.lines(t, 5)...), 5)
	e.now = noon.Add(time.Hour)
	quoted := e.line(t, &audit.DatabaseQuery{Query: []byte("select \"über\"\n'")})
	appendBatch(t, l, e.batch(quoted), 1)
	if err := l.Emit(t.Context(), &audit.SessionRecordingAccess{UserMeta: audit.UserMeta{User: "alice"}, SessionMeta: audit.SessionMeta{SID: bea}}); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		query eventlog.Query
		want  int
	}{
		{"everything", eventlog.Query{}, 14},
		{"from, included", eventlog.Query{From: noon.Add(time.Minute)}, 6},
		{"to, excluded", eventlog.Query{To: noon.Add(time.Minute)}, 8},
		{"a time range", eventlog.Query{From: noon.Add(time.Second), To: noon.Add(time.Hour)}, 5},
		{"a rare type", eventlog.Query{Types: []string{"db.session.start"}}, 2},
		{"a common type", eventlog.Query{Types: []string{"db.session.query"}}, 6},
		{"two types", eventlog.Query{Types: []string{"db.session.query", "session.recording.access"}}, 7},
		{"a type that does not exist", eventlog.Query{Types: []string{"x"}}, 0},
		{"a user", eventlog.Query{User: "carl"}, 6},
		{"a user and a type", eventlog.Query{User: "carl", Types: []string{"db.session.query"}}, 3},
		{"all that names a session", eventlog.Query{SID: bea}, 8},
		{"a text", eventlog.Query{Text: "select 3 from"}, 2},
		{"a text with characters that are escaped", eventlog.Query{Text: "\"über\"\n"}, 1},
		{"a text that is nowhere", eventlog.Query{Text: "SELECT 3"}, 0},
	}
	for _, c := range cases {
		for _, descending := range []bool{false, true} {
			c.query.Descending, c.query.Limit = descending, 2
			if got := len(all(t, l, c.query)); got != c.want {
				t.Errorf("%s, descending %v: %d events, want %d", c.name, descending, got, c.want)
			}
		}
	}
}

func TestSearchRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	for _, query := range []eventlog.Query{{Limit: 10_001}, {Limit: -1}, {SID: "x"}, {Cursor: "x"}, {Cursor: "1.2x"}, {Cursor: "1.2 "}} {
		if _, err := l.Search(t.Context(), query); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%+v: %v, want a refusal", query, err)
		}
	}
	if _, err := l.Search(t.Context(), eventlog.Query{SID: "x"}); !strings.Contains(fault.Message(err), "as tctl audit ls shows it") {
		t.Errorf("no session id is answered with %v, which says not where they are", err)
	}
}

func TestPageHasFiveHundredEventsAndAtMostFourMegabytes(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 501)...), 501)
	page, err := l.Search(t.Context(), eventlog.Query{})
	if err != nil || len(page.Lines) != 500 || page.Next == "" {
		t.Errorf("%d events, %v", len(page.Lines), err)
	}
	e.now = noon.Add(time.Minute)
	for range 5 {
		appendBatch(t, l, e.batch(e.line(t, &audit.DatabaseQuery{Query: bytes.Repeat([]byte("x"), 1<<20)})), 1)
	}
	page, err = l.Search(t.Context(), eventlog.Query{From: e.now})
	if err != nil || len(page.Lines) != 3 || page.Next == "" {
		t.Errorf("%d events, %v", len(page.Lines), err)
	}
}

func TestSessionIsReadInOrderAndCanBeLeftEarly(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 9)...), 9)
	appendBatch(t, l, e.batch(e.line(t, &audit.DatabaseSessionEnd{Reason: "over"})), 1)
	if err := l.Emit(t.Context(), &audit.SessionRecordingAccess{SessionMeta: audit.SessionMeta{SID: e.chain.SID()}}); err != nil {
		t.Fatal(err)
	}
	var events [][]byte
	for line, err := range l.Session(t.Context(), e.chain.SID()) {
		if err != nil {
			t.Fatal(err)
		}
		event, _, err := eventlog.SplitLine(line)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	if err := audittest.Verify(events); err != nil || len(events) != 10 {
		t.Errorf("%d events, %v", len(events), err)
	}
	for range l.Session(t.Context(), e.chain.SID()) {
		break
	}
	for _, err := range l.Session(t.Context(), "x") {
		if !fault.Is(err, fault.BadParameter) {
			t.Errorf("%v, want a refusal", err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 2000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			l := open(b, config(b.TempDir()))
			e := newEmitter(b)
			events := 0
			for b.Loop() {
				b.StopTimer()
				e.login(b, "bea")
				e.now = e.now.Add(time.Duration(size) * 50 * time.Microsecond)
				lines := e.lines(b, size)
				b.StartTimer()
				appendBatch(b, l, e.batch(lines...), size)
				events += size
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkIndex measures what an event costs beyond the line.
func BenchmarkIndex(b *testing.B) {
	l := open(b, config(b.TempDir()))
	e := newEmitter(b)
	const size = 4000
	for b.Loop() {
		b.StopTimer()
		e.login(b, "bea")
		e.now = e.now.Add(size * 50 * time.Microsecond)
		appendBatch(b, l, e.batch(e.lines(b, size)...), size)
		b.StartTimer()
		if _, err := l.Search(b.Context(), eventlog.Query{To: noon}); err != nil { // finds nothing
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
}

// BenchmarkSearchNewest measures the page that people look at first.
func BenchmarkSearchNewest(b *testing.B) {
	l := open(b, config(b.TempDir()))
	e := newEmitter(b)
	for range 100 {
		e.login(b, "bea")
		e.now = e.now.Add(time.Second)
		appendBatch(b, l, e.batch(e.lines(b, 2000)...), 2000)
	}
	for _, query := range []eventlog.Query{{Descending: true}, {Descending: true, Types: []string{"db.session.start"}}, {Descending: true, Text: "select 1999 "}} {
		b.Run(fmt.Sprintf("types=%v,text=%s", query.Types, query.Text), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Search(b.Context(), query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
