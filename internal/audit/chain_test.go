package audit_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
)

// session returns the lines of a whole session.
func session(t testing.TB) [][]byte {
	t.Helper()
	chain := newChain(t)
	var lines [][]byte
	for _, event := range sessionEvents() {
		line, err := chain.Append(nil, event, noon)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPrevIsTheHashOfThePredecessorsBytes(t *testing.T) {
	t.Parallel()
	lines := session(t)
	for i, line := range lines {
		f, err := audit.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if f.Index != int64(i) {
			t.Errorf("index %d at place %d", f.Index, i)
		}
		if i == 0 {
			if bytes.Contains(line, []byte(`"prev"`)) {
				t.Error("the first event has a predecessor")
			}
			continue
		}
		sum := sha256.Sum256(append([]byte("sallyport.event.v1\x00"), lines[i-1]...))
		if got, want := f.Prev.String(), hex.EncodeToString(sum[:]); got != want {
			t.Errorf("event %d: prev %s, want %s", i, got, want)
		}
	}
}

func TestVerifyFindsEveryKindOfChange(t *testing.T) {
	t.Parallel()
	change := func(line []byte, from, to string) []byte {
		changed := bytes.Replace(line, []byte(from), []byte(to), 1)
		if bytes.Equal(changed, line) {
			t.Fatalf("%s does not contain %s", line, from)
		}
		return changed
	}
	cases := []struct {
		name  string
		spoil func(lines [][]byte) [][]byte
		want  string // part of the error; empty for none
	}{
		{"untouched", func(l [][]byte) [][]byte { return l }, ""},
		{"an event changed", func(l [][]byte) [][]byte { l[3] = change(l[3], "copy t", "copy u"); return l }, "was changed"},
		{"an event removed", func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, "event 3 is expected"},
		{"the start removed", func(l [][]byte) [][]byte { return l[1:] }, "event 0 is expected"},
		{"the end removed", func(l [][]byte) [][]byte { return l[:len(l)-1] }, "no end"},
		{"two events exchanged", func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l }, "is expected"},
		{"an event twice", func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[3]) }, "is expected"},
		{"an event of another session", func(l [][]byte) [][]byte { l[3] = change(l[3], sid[:8], "11111111"); return l }, "belongs to session"},
		{"an event after the end", func(l [][]byte) [][]byte {
			return append(l, change(l[len(l)-1], fmt.Sprintf(`"ei":%d,`, len(l)-1), fmt.Sprintf(`"ei":%d,`, len(l))))
		}, "follows the end"},
		{"a statement without a predecessor", func(l [][]byte) [][]byte {
			at := bytes.Index(l[3], []byte(`,"prev"`))
			l[3] = slices.Delete(l[3], at, at+len(`,"prev":""`)+64)
			return l
		}, "does not follow"},
		{"nothing", func([][]byte) [][]byte { return nil }, "no end"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := audittest.Verify(c.spoil(session(t)))
			if c.want == "" && err != nil {
				t.Error(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestRefusedSessionIsCompleteWithItsStart(t *testing.T) {
	t.Parallel()
	line, err := newChain(t).Append(nil, &audit.DatabaseSessionStart{Status: audit.Status{Error: "no"}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := audittest.Verify([][]byte{line}); err != nil {
		t.Error(err)
	}
}

func TestVerifyPassesOverEventsThatOnlyNameTheSession(t *testing.T) {
	t.Parallel()
	encoder := audit.NewEncoder("sp.example.org", audit.NewUIDs(rand.Reader))
	access, err := encoder.Append(nil, &audit.SessionRecordingAccess{SessionMeta: audit.SessionMeta{SID: sid}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := audittest.Verify(slices.Insert(session(t), 1, access)); err != nil {
		t.Error(err)
	}
}

func TestChainGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	lines := session(t)[:4]
	config, began, err := audit.ResumeConfig(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	config.UIDs = audit.NewUIDs(rand.Reader)
	config.Next, config.Prev = 4, audit.HashOf(lines[3])
	chain, err := audit.NewChain(config)
	if err != nil {
		t.Fatal(err)
	}
	end, err := chain.Append(nil, &audit.DatabaseSessionEnd{Start: began, Reason: audit.ReasonLost}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := audittest.Verify(append(lines, end)); err != nil {
		t.Error(err)
	}
	for _, group := range []string{`"user":"bea"`, `"db_service":"billing"`, `"db_user":"reader"`, `"db_roles":["ro"]`, `"access_requests":["r1"]`} {
		if !bytes.Contains(end, []byte(group)) {
			t.Errorf("%s is missing in %s", group, end)
		}
	}
}

func TestRewindLeavesNoHole(t *testing.T) {
	t.Parallel()
	chain := newChain(t)
	events := sessionEvents()
	var lines [][]byte
	for i, event := range events {
		if i > 0 {
			if _, err := chain.Append(nil, &audit.DatabaseQuery{Query: []byte("not stored")}, noon); err != nil {
				t.Fatal(err)
			}
			chain.Rewind()
		}
		line, err := chain.Append(nil, event, noon)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := audittest.Verify(lines); err != nil {
		t.Error(err)
	}
}

func TestSetDatabaseAppliesToLaterEvents(t *testing.T) {
	t.Parallel()
	chain := newChain(t)
	chain.SetDatabase("app", "orders")
	line, err := chain.Append(nil, &audit.DatabaseQuery{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(line, []byte(`"db_name":"orders","db_user":"app"`)) || bytes.Contains(line, []byte("ledger")) {
		t.Errorf("%s", line)
	}
}

func TestAppendLeavesWhatStandsBefore(t *testing.T) {
	t.Parallel()
	line, err := newChain(t).Append([]byte("before\n"), &audit.DatabaseQuery{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := bytes.CutPrefix(line, []byte("before\n"))
	if _, err := audit.Parse(rest); !ok || err != nil {
		t.Errorf("%v: %s", err, line)
	}
}

func TestChainNeedsASessionID(t *testing.T) {
	t.Parallel()
	uids := audit.NewUIDs(rand.Reader)
	for _, config := range []audit.ChainConfig{
		{UIDs: uids, Session: audit.SessionMeta{SID: sid}},
		{ClusterName: "c", Session: audit.SessionMeta{SID: sid}},
		{ClusterName: "c", UIDs: uids},
		{ClusterName: "c", UIDs: uids, Session: audit.SessionMeta{SID: "1"}},
	} {
		if _, err := audit.NewChain(config); err == nil {
			t.Errorf("accepted %+v", config)
		}
	}
}

func TestEncoderRefusesSessionEvents(t *testing.T) {
	t.Parallel()
	encoder := audit.NewEncoder("c", audit.NewUIDs(rand.Reader))
	if _, err := encoder.Append(nil, &audit.DatabaseQuery{}, noon); err == nil {
		t.Error("encoded a statement outside a session")
	}
}

var errNoRandomness = errors.New("no randomness")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errNoRandomness }

func TestWithoutRandomnessThereIsNoEventAndNoHole(t *testing.T) {
	t.Parallel()
	chain, err := audit.NewChain(audit.ChainConfig{ClusterName: "c", UIDs: audit.NewUIDs(broken{}), Session: audit.SessionMeta{SID: sid}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Append(nil, &audit.DatabaseQuery{}, noon); !errors.Is(err, errNoRandomness) {
		t.Errorf("%v, want %v", err, errNoRandomness)
	}
	if chain.Next() != 0 {
		t.Error("an index was used up")
	}
}

func TestUIDsDiffer(t *testing.T) {
	t.Parallel()
	uids := audit.NewUIDs(rand.Reader)
	seen := make(map[string]bool)
	for range 1000 {
		id, err := uids.Next()
		if err != nil {
			t.Fatal(err)
		}
		if id.Version() != 4 || seen[id.String()] {
			t.Fatalf("%s is no new version 4 UUID", id)
		}
		seen[id.String()] = true
	}
}

func BenchmarkChainAppendQuery(b *testing.B) {
	chain := newChain(b)
	event := &audit.DatabaseQuery{Query: []byte("SELECT abalance FROM pgbench_accounts WHERE aid = $1;"),
		Parameters: []audit.Parameter{{Value: []byte("12345")}}}
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		line, err := chain.Append(buffer[:0], event, noon)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(line)))
	}
}

func BenchmarkChainAppendResult(b *testing.B) {
	chain := newChain(b)
	event := &audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1, Rows: 1, Bytes: 40, Duration: 123456, CommandTag: "SELECT 1"}
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chain.Append(buffer[:0], event, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChainAppendLargeQuery(b *testing.B) {
	chain := newChain(b)
	event := &audit.DatabaseQuery{Query: bytes.Repeat([]byte("insert into t values ('some text', 12345);\n"), 25_000)}
	buffer := make([]byte, 0, 4<<20)
	b.SetBytes(int64(len(event.Query)))
	for b.Loop() {
		if _, err := chain.Append(buffer[:0], event, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	line := session(b)[1]
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
