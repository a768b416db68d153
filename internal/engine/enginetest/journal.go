package enginetest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/audit/spool"
)

// Journal keeps events in memory. It is a session.Journal, safe for concurrent use.
type Journal struct {
	mu    sync.Mutex
	lines [][]byte // guarded by mu
	fail  error    // guarded by mu
	deaf  bool     // guarded by mu
	burst bool     // guarded by mu

	synced   spool.Pos // guarded by mu
	failSync error     // guarded by mu
}

// Append implements session.Journal.
func (j *Journal) Append(line []byte) (spool.Pos, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.burst {
		j.burst = false
		panic("the journal was told to")
	}
	if j.fail != nil {
		return 0, j.fail
	}
	if j.deaf {
		return 1, nil
	}
	j.lines = append(j.lines, slices.Clone(line))
	return spool.Pos(len(j.lines)), nil
}

// Sync implements session.Journal.
func (j *Journal) Sync(ctx context.Context, upTo spool.Pos) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failSync != nil {
		return j.failSync
	}
	j.synced = max(j.synced, upTo)
	return ctx.Err()
}

// Synced returns how many events would survive the loss of power.
func (j *Journal) Synced() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int(j.synced)
}

// FailSync makes events kept, and none durable, as a broken disk would.
func (j *Journal) FailSync(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failSync = err
}

// Fail makes all that follows fail, as a full disk would.
func (j *Journal) Fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = err
}

// Burst makes the next event panic, as a fault of the engine would.
func (j *Journal) Burst() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.burst = true
}

// Forget keeps no event from now on, for benchmarks.
func (j *Journal) Forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.deaf, j.lines = true, nil
}

// Lines returns the events as they were recorded.
func (j *Journal) Lines() [][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// Event is a recorded event.
type Event struct {
	Type string
	Code string
	// Fields are all of them, as encoding/json reads them.
	Fields map[string]any
}

// Text returns a field that is a text, or "".
func (e Event) Text(key string) string {
	text, _ := e.Fields[key].(string)
	return text
}

// Number returns a field that is a number, or 0.
func (e Event) Number(key string) int64 {
	number, _ := e.Fields[key].(float64)
	return int64(number)
}

// Flag returns a field that is a truth value, or false.
func (e Event) Flag(key string) bool {
	flag, _ := e.Fields[key].(bool)
	return flag
}

// Events returns what was recorded, of the types given or, without any, all.
func (j *Journal) Events(types ...string) []Event {
	var events []Event
	for _, line := range j.Lines() {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			panic("an event that is not JSON: " + string(line))
		}
		event := Event{Fields: fields}
		event.Type, event.Code = event.Text("event"), event.Text("code")
		if len(types) == 0 || slices.Contains(types, event.Type) {
			events = append(events, event)
		}
	}
	return events
}

// Statements returns the statements that were recorded, refused ones too: one event for each, also where several share
// one. Their "command" is then the place, counted from 1.
func (j *Journal) Statements() []Event {
	var statements []Event
	for _, event := range j.Events("db.session.query", "db.session.query.failed") {
		if event.Number("commands") == 0 {
			statements = append(statements, event)
			continue
		}
		for i, line := range strings.Split(event.Text("db_query"), "\n") {
			fields := maps.Clone(event.Fields)
			fields["db_query"], fields["command"] = line, float64(i+1)
			statements = append(statements, Event{event.Type, event.Code, fields})
		}
	}
	return statements
}

// Results returns what was recorded about how statements ended: one event for each, also where several share one.
func (j *Journal) Results() []Event {
	var results []Event
	for _, event := range j.Events("db.session.result") {
		results = append(results, event)
		following, _ := event.Fields["following_results"].([]any)
		for _, item := range following {
			fields, values := maps.Clone(event.Fields), item.([]any)
			for i, key := range []string{"statement_ei", "command", "affected_records", "bytes", "duration_us"} {
				fields[key] = values[i]
			}
			results = append(results, Event{event.Type, event.Code, fields})
		}
	}
	return results
}
