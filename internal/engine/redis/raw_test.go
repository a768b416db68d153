package redis_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
)

// raw is a client that says what it is told to.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func (r *real) raw(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", r.agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(4 * enginetest.Patience))
	return &raw{conn, bufio.NewReader(conn)}
}

// lines makes CR LF of the line ends of a text.
func lines(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// say sends commands, each a line of words parted by spaces.
func (c *raw) say(t testing.TB, commands ...string) {
	t.Helper()
	var b strings.Builder
	for _, command := range commands {
		words := strings.Fields(command)
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, word := range words {
			word = strings.ReplaceAll(word, `""`, "") // an empty one
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		t.Fatal(err)
	}
}

// hear reads exactly what is expected, given with LF for CR LF.
func (c *raw) hear(t testing.TB, want string) {
	t.Helper()
	want = lines(want)
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if string(got[:n]) != want {
		t.Fatalf("heard %q, %v; want %q", got[:n], err, want)
	}
}

// line reads one line.
func (c *raw) line(t testing.TB) string {
	t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		t.Fatalf("heard %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// outcomes returns, for each command in the record, what became of it: "ok", an error, or "" if nothing is known.
func outcomes(v *enginetest.Visit) []string {
	results := make(map[[2]int64]string)
	for _, event := range v.Journal.Results() {
		outcome := "ok"
		if !event.Flag("success") {
			outcome = event.Text("error")
		}
		results[[2]int64{event.Number("statement_ei"), event.Number("command")}] = outcome
	}
	var list []string
	for _, event := range v.Journal.Statements() {
		outcome := results[[2]int64{event.Number("ei"), event.Number("command")}]
		if event.Type == "db.session.query.failed" {
			outcome = "refused: " + event.Text("error")
		}
		list = append(list, event.Text("db_query")+" → "+outcome)
	}
	return list
}

// wantOutcomes ends the client and compares what was recorded.
func wantOutcomes(t *testing.T, r *real, c *raw, want ...string) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	v := r.agent.Visit(t, 0)
	_ = v.Wait(t)
	if got := outcomes(v); !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// closed ends the client, and returns its visit when that is over.
func closed(t *testing.T, r *real, c *raw) *enginetest.Visit {
	t.Helper()
	_ = c.Close()
	v := r.agent.Visit(t, 0)
	_ = v.Wait(t)
	return v
}
