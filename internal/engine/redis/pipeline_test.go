package redis_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/redisserver"
)

// ready returns a client that is logged in, behind which a server answers.
func ready(t *testing.T, answer redistest.Answer, change ...func(*enginetest.Config)) (*real, *raw) {
	t.Helper()
	r := behindRogue(t, answer, change...)
	c := r.raw(t)
	c.say(t, "AUTH default secret")
	c.hear(t, "+OK\n")
	return r, c
}

// gets returns so many commands, and what they are recorded as.
func gets(n int) (commands, recorded []string) {
	for i := range n {
		commands = append(commands, fmt.Sprint("GET k", i))
		recorded = append(recorded, fmt.Sprint("GET k", i, " → ok"))
	}
	return commands, recorded
}

func one([]string) []byte { return []byte(":1\r\n") }

func TestLongPipelinesShareEvents(t *testing.T) {
	t.Parallel()
	for count, events := range map[int]int{1: 1, 7: 7, 8: 1, 30: 1} {
		t.Run(fmt.Sprint(count, " commands"), func(t *testing.T) {
			t.Parallel()
			r, c := ready(t, one)
			commands, want := gets(count)
			c.say(t, commands...)
			c.hear(t, strings.Repeat(":1\n", count))
			v := closed(t, r, c)
			if got := outcomes(v); !slices.Equal(got, want) {
				t.Errorf("recorded\n%s", strings.Join(got, "\n"))
			}
			queries := v.Journal.Events("db.session.query")
			if len(queries) != events || count >= 8 && queries[0].Number("commands") != int64(count) {
				t.Errorf("%d events: %v", len(queries), queries[0].Fields)
			}
			if end := v.Journal.Events("db.session.end"); end[0].Number("statements") != int64(count) {
				t.Errorf("end: %v", end[0].Fields)
			}
		})
	}
}

func TestLongPipelinesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2000)
	r, c := ready(t, func(args []string) []byte {
		if args[0] == "INCR" {
			return []byte("-ERR no number\r\n")
		}
		return one(args)
	}, func(cfg *enginetest.Config) {
		cfg.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_commands: [config]}}`}
	})
	commands, want := gets(9)
	for _, each := range []struct{ command, recorded string }{
		{"INCR a", "INCR a → ERR no number"},
		{"CONFIG GET x", "CONFIG GET x → ok"},
		{"DEBUG SLEEP 1", "DEBUG SLEEP 1 → refused: DEBUG SLEEP concerns the server and not its data, and your roles do not allow it"},
		{"SET long " + long, "SET long $1 → ok"},
		{"AUTH default secret", "AUTH default **** → ok"},
	} {
		before, beforeWant := gets(9)
		commands = append(append(commands, each.command), before...)
		want = append(append(want, each.recorded), beforeWant...)
	}
	c.say(t, commands...)
	for _, command := range commands {
		wants := ":1"
		switch {
		case strings.HasPrefix(command, "INCR"):
			wants = "-ERR"
		case strings.HasPrefix(command, "DEBUG"):
			wants = "-NOPERM"
		case strings.HasPrefix(command, "AUTH"):
			wants = "+OK"
		}
		if line := c.line(t); !strings.HasPrefix(line, wants) {
			t.Fatalf("in answer to %.30s: %s", command, line)
		}
	}
	v := closed(t, r, c)
	if got := outcomes(v); !slices.Equal(got, want) {
		t.Errorf("recorded\n%s", strings.Join(got, "\n"))
	}
	for _, event := range v.Journal.Events("db.session.query") {
		text := event.Text("db_query")
		if event.Number("commands") > 0 && (strings.Contains(text, "CONFIG") || strings.Contains(text, "AUTH") || strings.Contains(text, "$1")) {
			t.Errorf("among others: %q", text)
		}
		if parameters, _ := event.Fields["db_query_parameters"].([]any); text == "SET long $1" && (len(parameters) != 1 || parameters[0] != long) {
			t.Errorf("the long argument is %v", parameters)
		}
	}
}

func TestLongPipelinesThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	r, c := ready(t, func(args []string) []byte {
		t.Errorf("the server got %q", args)
		return one(args)
	})
	v := r.agent.Visit(t, 0)
	v.Journal.Fail(errors.New("the disk is full"))
	commands, _ := gets(20)
	c.say(t, commands...)
	if line := c.line(t); !strings.Contains(line, "audit is unavailable") {
		t.Errorf("heard %s", line)
	}
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
}

// TestCounts checks what is recorded of replies beside their error.
func TestCounts(t *testing.T) {
	t.Parallel()
	for answer, rows := range map[string]int64{
		":1\n": 1, "$-1\n": 0, "*3\n:1\n:2\n$1\na\n": 3, "*-1\n": 0, "%2\n+a\n:1\n+b\n:2\n": 2, "~1\n:1\n": 1, "_\n": 0, "-ERR no\n": 0,
		"*2\n*2\n:1\n:2\n:3\n": 2, "$3\nabc\n": 1,
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			var clock atomic.Int64
			engine := redis.New(redis.Config{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, clock.Add(int64(time.Millisecond))) }})
			r, c := ready(t, func([]string) []byte { return []byte(lines(answer)) }, func(cfg *enginetest.Config) { cfg.Engine = engine })
			c.say(t, "GET k")
			c.hear(t, answer)
			results := closed(t, r, c).Journal.Results()
			last := results[len(results)-1]
			if last.Number("affected_records") != rows || last.Number("bytes") != int64(len(lines(answer))) || last.Number("duration_us") != 1000 {
				t.Errorf("recorded %v", last.Fields)
			}
		})
	}
}

// TestCountsInTransactions checks what EXEC tells of each command.
func TestCountsInTransactions(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	r := behind(t, s, "default")
	c := r.raw(t)
	c.say(t, "RPUSH counts:l a b c", "MULTI", "LRANGE counts:l 0 -1", "GET counts:none", "INCR counts:l", "LLEN counts:l", "EXEC")
	c.hear(t, ":3\n+OK\n+QUEUED\n+QUEUED\n+QUEUED\n+QUEUED\n*4\n*3\n$1\na\n$1\nb\n$1\nc\n$-1\n"+
		"-WRONGTYPE Operation against a key holding the wrong kind of value\n:3\n")
	var got []string
	for _, e := range closed(t, r, c).Journal.Results() {
		got = append(got, fmt.Sprintf("%t %d %d", e.Flag("success"), e.Number("affected_records"), e.Number("bytes")))
	}
	if want := []string{"true 1 4", "true 1 5", "true 3 25", "true 0 5", "false 0 68", "true 1 4", "true 4 106"}; !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}
