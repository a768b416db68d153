package eventlog_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/eventlog"
)

// ends returns the reasons of a session's ends, as its reader finds them, and its events.
func ends(t *testing.T, l *eventlog.Log, sid string) (reasons []string, events [][]byte) {
	t.Helper()
	for line, err := range l.Session(t.Context(), sid) {
		if err != nil {
			t.Fatal(err)
		}
		event, _, err := eventlog.SplitLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(event), `"event":"db.session.end"`) {
			_, reason, _ := strings.Cut(string(event), `"reason":"`)
			reasons = append(reasons, strings.SplitN(reason, `"`, 2)[0])
		}
		events = append(events, event)
	}
	return reasons, events
}

func openSessions(t *testing.T, l *eventlog.Log) (sids []string) {
	t.Helper()
	open, err := l.OpenSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range open {
		if session.Host != agent {
			t.Errorf("session %s is of host %s", session.SID, session.Host)
		}
		sids = append(sids, session.SID.String())
	}
	return sids
}

func TestSessionsWithoutAnEndAreOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	denied := e.line(t, &audit.DatabaseSessionStart{})
	e.login(t, "bob")
	ended := append(e.lines(t, 2), e.line(t, &audit.DatabaseSessionEnd{}))
	e.login(t, "carol")
	running := e.lines(t, 2)
	appendBatch(t, l, e.batch(append(append(ended, denied), running...)...), 6)
	want := []string{e.chain.SID()}
	if got := openSessions(t, l); !slices.Equal(got, want) {
		t.Errorf("open are %q, want %q", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	if got := openSessions(t, l); !slices.Equal(got, want) {
		t.Errorf("after a restart open are %q, want %q", got, want)
	}
}

func TestASessionEndsOnceWhateverItsHostDelivers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, config(dir))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(e.lines(t, 3)...), 3)
	sid := uuid.MustParse(e.chain.SID())
	for range 2 {
		if err := l.EndLost(t.Context(), sid); err != nil {
			t.Fatal(err)
		}
	}
	reasons, events := ends(t, l, e.chain.SID())
	if !slices.Equal(reasons, []string{audit.ReasonLost}) || len(openSessions(t, l)) != 0 {
		t.Fatalf("the session ends with %q", reasons)
	}
	if err := audittest.Verify(events); err != nil {
		t.Error(err)
	}
	// The host was only away: the rest of the session, with an end of its own, is still delivered.
	e.now = e.now.Add(time.Hour)
	rest := append(e.lines(t, 2), e.line(t, &audit.DatabaseSessionEnd{Reason: "the client closed the session", BytesSent: 4711}))
	appendBatch(t, l, e.batch(rest...), 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, config(dir))
	e.login(t, "dora")
	appendBatch(t, l, e.batch(e.lines(t, 1)...), 1) // the stream has no hole
	reasons, events = ends(t, l, sid.String())
	if !slices.Equal(reasons, []string{audit.ReasonLost}) || len(events) != 6 {
		t.Fatalf("the session ends with %q and has %d events", reasons, len(events))
	}
	if err := audittest.Verify(events); err != nil {
		t.Error(err)
	}
	late := all(t, l, eventlog.Query{Types: []string{"audit.late_end"}})
	if len(late) != 1 || !strings.Contains(string(late[0]), `\"bytes_sent\":4711`) {
		t.Errorf("what was delivered late is kept as %q", late)
	}
}

func TestASessionThatHasEndedIsNotLost(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	appendBatch(t, l, e.batch(append(e.lines(t, 3), e.line(t, &audit.DatabaseSessionEnd{Reason: "idle"}))...), 4)
	if err := l.EndLost(t.Context(), uuid.MustParse(e.chain.SID())); err != nil {
		t.Fatal(err)
	}
	if reasons, _ := ends(t, l, e.chain.SID()); !slices.Equal(reasons, []string{"idle"}) {
		t.Errorf("the session ends with %q", reasons)
	}
}

func TestHostsCannotWriteBehindASessionsEnd(t *testing.T) {
	t.Parallel()
	l := open(t, config(t.TempDir()))
	e := newEmitter(t)
	line := strings.Replace(string(e.lines(t, 1)[0]), `"ei":0`, `"ei":2147483647`, 1)
	if _, err := l.Append(t.Context(), e.batch([]byte(line))); err == nil {
		t.Error("an index of the auth server's own is accepted")
	}
}
