package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/resp"
)

// a large command of any bytes costs hardly more memory than one of letters. It runs alone: what is allocated is the whole
// process's.
func TestBytesCostNoMoreThanLetters(t *testing.T) {
	r, c := ready(t, func([]string) []byte { return []byte(":1\r\n") })
	v := r.agent.Visit(t, 0)
	const size, count = 1000, 8000
	costOf := func(command string) float64 {
		t.Helper()
		v.Journal.Forget()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := io.WriteString(c, command); err != nil {
			t.Fatal(err)
		}
		c.line(t)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	cost := func(name, value string) float64 {
		t.Helper()
		return costOf(fmt.Sprintf("*%d\r\n$%d\r\n%s\r\n$1\r\nk\r\n", count+2, len(name), name) + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), count))
	}
	for _, name := range []string{"SADD", "SADX"} { // what is passed on, and what is refused
		letters := cost(name, strings.Repeat("x", size))
		for what, value := range map[string]string{
			"control characters": strings.Repeat("\x01", size),
			"bytes":              strings.Repeat("\xff", size),
			"quotes":             strings.Repeat(`"`, size),
			"lines":              strings.Repeat("\n", size),
			"few of them":        strings.Repeat(strings.Repeat("x", 9)+"\x01", size/10),
		} {
			if ratio := cost(name, value) / letters; ratio > 1.5 {
				t.Errorf("%s: %s cost %.1f times as much as letters", name, what, ratio)
			}
		}
	}
	// What is looked into for secrets, or for names of scripts.
	for _, command := range []string{"CONFIG GET", "SENTINEL GET", "ACL DRYRUN u config get", "EVALSHA", "SCRIPT EXISTS"} {
		with := func(argument string) string {
			return string(resp.AppendCommand(nil, append(strings.Fields(command), strings.Repeat(argument, size*count/4))...))
		}
		if ratio := costOf(with("\xff")) / costOf(with("x")); ratio > 1.5 {
			t.Errorf("%s: bytes cost %.1f times as much as letters", command, ratio)
		}
		if ratio := costOf(with("X")) / costOf(with("x")); ratio > 1.2 {
			t.Errorf("%s: capitals cost %.1f times as much as small letters", command, ratio)
		}
	}
	_ = c.Close()
	if err := v.Wait(t); err != nil {
		t.Error(err)
	}
}

// TestRecordsTakeRoom leaves to others, beside a command of bytes that are printed as several, less than beside one of letters.
func TestRecordsTakeRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value string
		want  error // of another user who wants twelve of the 32 MiB
	}{"letters": {"xxxxxxxx", nil}, "control characters": {strings.Repeat("\x01", 8), engine.ErrBusy}} {
		budget := engine.NewBudget(32<<20, time.Millisecond)
		args := append([][]byte{[]byte("SADD"), []byte("k")}, slices.Repeat([][]byte{[]byte(c.value)}, 100_000)...)
		if err := redis.Look(t.Context(), budget, args, len(args)*len("$8\r\nxxxxxxxx\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := budget.Share("other", func(error) {}).Grow(t.Context(), 12<<20, func() error { return nil }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// of a large command nothing is left once it is sent, also when the next one has begun to arrive. What is in use is measured, so
// that no other test runs beside it.
func TestALargeCommandLeavesNothingBehind(t *testing.T) {
	r, c := ready(t, one, func(cfg *enginetest.Config) {
		cfg.Engine = redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 48 << 20, LargeWait: 5 * time.Second})
	})
	v := r.agent.Visit(t, 0)
	before := enginetest.LiveHeap()
	args := append([]string{"RPUSH", "k"}, slices.Repeat([]string{strings.Repeat("x", 1000)}, 8000)...)
	if _, err := c.Write(append(resp.AppendCommand(nil, args...), "*1\r\n$4\r\nPI"...)); err != nil {
		t.Fatal(err)
	}
	c.hear(t, ":1\n")
	clear(args)
	v.Journal.Forget()
	enginetest.AwaitHeap(t, before+3<<20)
	other := r.raw(t)
	other.say(t, "AUTH default secret", "SET k "+strings.Repeat("x", 8<<20))
	other.hear(t, "+OK\n:1\n")
	if _, err := io.WriteString(c, "NG\r\n"); err != nil {
		t.Fatal(err)
	}
	c.hear(t, ":1\n")
}

// of a large command, what escapes would swell stands among the parameters, each argument in its order and exactly; of a
// small one it stands in the text.
func TestRecordOfALargeCommand(t *testing.T) {
	t.Parallel()
	odd := strings.Repeat("\x01\xff\"", 30)
	for name, c := range map[string]struct {
		filler int
		shown  string
		values []string
	}{
		"large": {1200, `SADD k $1 "$1" "a b" "\x01" $2`, []string{odd, odd}},
		"small": {10, `SADD k "` + strings.Repeat(`\x01\xff\"`, 30) + `" "$1" "a b" "\x01" "` + strings.Repeat(`\x01\xff\"`, 30) + `"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"SADD", "k", odd, "$1", "a b", "\x01", odd}
			filler := strings.Repeat("x", 1000)
			for range c.filler {
				args = append(args, filler)
			}
			parts := make([][]byte, len(args))
			for i, arg := range args {
				parts[i] = []byte(arg)
			}
			event := redis.RecordOf(parts)
			if want := c.shown + strings.Repeat(" "+filler, c.filler); string(event.Query) != want {
				t.Errorf("the text is %.400q", event.Query)
			}
			if len(event.Parameters) != len(c.values) {
				t.Fatalf("%d parameters", len(event.Parameters))
			}
			for i, v := range event.Parameters {
				if string(v.Value) != c.values[i] || !v.Binary {
					t.Errorf("parameter %d is %q", i+1, v.Value)
				}
			}
		})
	}
}

// the secrets of a large command are masked.
func TestSecretsOfALargeCommand(t *testing.T) {
	t.Parallel()
	args := [][]byte{[]byte("ACL"), []byte("SETUSER"), []byte("bob"), []byte(">\x01secret\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01")}
	for range 1200 {
		args = append(args, bytes.Repeat([]byte{1}, 1000))
	}
	event := redis.RecordOf(args)
	if !event.Masked || bytes.Contains(event.Query, []byte("secret")) {
		t.Errorf("the text is %.200q", event.Query)
	}
	for _, v := range event.Parameters {
		if bytes.Contains(v.Value, []byte("secret")) {
			t.Error("the secret is among the parameters")
		}
	}
}
