package redis_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/redisserver"
)

// behindRogue starts an agent for a server that answers the login well, and everything else as told.
func behindRogue(t *testing.T, answer redistest.Answer, change ...func(*enginetest.Config)) *real {
	t.Helper()
	s := redistest.Start(t, func(args []string) []byte {
		switch args[0] {
		case "AUTH":
			return resp.AppendSimple(nil, "OK")
		case "ACL":
			return resp.AppendBulk(nil, "default")
		case "CLIENT":
			return resp.AppendInteger(nil, 7)
		default:
			return answer(args)
		}
	})
	cfg := enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()),
		Credentials: enginetest.Given(cred.Credential{Certificate: &tls.Certificate{}}),
	}
	for _, change := range change {
		change(&cfg)
	}
	return &real{agent: enginetest.Start(t, cfg)}
}

// What a server says that no server says ends the session, and costs no memory.
func TestRogueServers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"two replies to one command":      "+OK\r\n+OK\r\n",
		"an unknown type":                 "@1\r\n",
		"a message that nobody asked for": "+OK\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
		"a string of 2^63-1 bytes":        "$9223372036854775807\r\nx",
		"a string of less than nothing":   "$-2\r\n",
		"as many elements as there are":   "*9223372036854775807\r\n",
		"a string with another end":       "$2\r\nabcd",
		"a line without end":              "+" + strings.Repeat("x", 2<<20),
		"attributes":                      "|1\r\n+a\r\n+b\r\n+OK\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := behindRogue(t, func([]string) []byte { return []byte(answer) })
			c := r.raw(t)
			c.say(t, "GET k")
			if name == "a string of 2^63-1 bytes" {
				_, _ = c.r.ReadString('\n') // it is passed on as far as it comes
				r.agent.Visit(t, 0).End(fault.New(fault.AccessDenied, "enough"))
			}
			heard, _ := io.ReadAll(c.r)
			c.Close()
			v := r.agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Errorf("the engine returned no error; the client heard %q", heard[:min(len(heard), 200)])
			}
			if len(v.Journal.Events("db.session.end")) != 1 {
				t.Error("no end was recorded")
			}
		})
	}
}

func TestServersThatLieAboutTheLogin(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{
		"another status":        resp.AppendSimple(nil, "FINE"),
		"a number":              []byte(":1\r\n"),
		"nothing but levels":    []byte(strings.Repeat("*1\r\n", 100_000)),
		"a string without end":  []byte("$60000000\r\n" + strings.Repeat("x", 2<<20)),
		"what is no reply":      []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"nothing, and hangs up": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, func([]string) []byte { return answer })
			r := &real{agent: enginetest.Start(t, enginetest.Config{
				Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()),
				Credentials: enginetest.AccountsOnly,
			})}
			c := r.raw(t)
			c.say(t, "AUTH default secret", "GET k")
			if line := c.line(t); !strings.HasPrefix(line, "-ERR the database ") {
				t.Errorf("the client heard %.200s", line)
			}
			if got := queries(r.agent.Visit(t, 0)); len(got) != 0 {
				t.Errorf("passed on: %q", got)
			}
		})
	}
}

// TestLargeValues measures memory, so that no other test runs beside it.
func TestLargeValues(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	t.Run("100 MB come back whole", func(t *testing.T) {
		const size = 100 << 20
		s.Do(t, "SETRANGE", "large", fmt.Sprint(size-1), "x")
		r := behind(t, s, "default")
		c := r.raw(t)
		c.say(t, "GET large", "PING")
		c.hear(t, fmt.Sprintf("$%d\n", size))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, err := io.CopyN(io.Discard, c.r, size-1)
		if err != nil || n != size-1 {
			t.Fatal(n, err)
		}
		runtime.ReadMemStats(&after)
		c.hear(t, "x\n+PONG\n")
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > size/2 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		results := closed(t, r, c).Journal.Results()
		if results[0].Number("bytes") < size {
			t.Errorf("recorded %v", results[0].Fields)
		}
	})
	t.Run("20 MB are recorded whole", func(t *testing.T) {
		t.Parallel()
		value := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
		r := behind(t, s, "default")
		c := r.client(t)
		if err := c.Set(t.Context(), "sent", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		v := r.agent.Visit(t, 0)
		_ = v.Wait(t)
		for _, event := range v.Journal.Events("db.session.query") {
			if event.Text("db_query") != "set sent $1" {
				continue
			}
			parameters := event.Fields["db_query_parameters"].([]any)
			if parameters[0].(string) != string(value) {
				t.Error("the value is another one")
			}
			return
		}
		t.Error("the command is not recorded")
	})
	for name, c := range map[string]struct {
		command, told, recorded string
		size                    int64 // at least, where a test can tell
	}{
		"a large value":             {fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", resp.MaxCommand), "send large values in pieces, with APPEND or SETRANGE", "SET big", resp.MaxCommand},
		"the largest that there is": {"*1\r\n$9223372036854775799\r\n", "at least 9223372036854775799 bytes", "", 0},
		"many arguments":            {"*2000000\r\n", "a command has 2000000 arguments, and at most", "", 0},
	} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s is told, in the first command: %t", name, first), func(t *testing.T) {
				t.Parallel()
				r := behind(t, s, "default")
				client := r.raw(t)
				if !first {
					client.say(t, "PING")
					client.hear(t, "+PONG\n")
				}
				if _, err := io.WriteString(client, c.command); err != nil {
					t.Fatal(err)
				}
				if line := client.line(t); !strings.Contains(line, c.told) {
					t.Errorf("heard %s", line)
				}
				failed := closed(t, r, client).Journal.Events("db.session.query.failed")
				if len(failed) != 1 || failed[0].Text("db_query") != c.recorded || c.size > 0 && failed[0].Number("message_size") < c.size {
					t.Errorf("recorded %v", failed)
				}
			})
		}
	}
}

// large commands of all sessions together have a limit.
func TestLargeCommandsWaitForRoom(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	e := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 24 << 20, LargeWait: enginetest.Patience})
	r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Engine = e })
	value := strings.Repeat("x", 4<<20)
	begun, other := r.raw(t), r.raw(t)
	begin := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s", len(value), value[:len(value)-1])
	begun.say(t, "PING")
	begun.hear(t, "+PONG\n")
	if _, err := io.WriteString(begun, begin); err != nil {
		t.Fatal(err)
	}
	other.waits(t, "SET l "+value)
	bob := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Engine, cfg.Identity.Name = e, "bob" }).raw(t)
	bob.say(t, "SET m "+value[:1<<20]) // who finds what is left
	bob.hear(t, "+OK\n")
	if _, err := io.WriteString(begun, "x\r\n"); err != nil {
		t.Fatal(err)
	}
	begun.hear(t, "+OK\n")
	other.hear(t, "+OK\n")
}

// waits says a large command again and again until that has no answer within a second: it finds no room, once another one has
// got that.
func (c *raw) waits(t *testing.T, command string) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); time.Now().Before(deadline); {
		c.say(t, command)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, err := c.r.Peek(1)
		if _ = c.SetReadDeadline(time.Now().Add(4 * enginetest.Patience)); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		c.hear(t, "+OK\n")
	}
	t.Fatal("there is room for all")
}

// slow has a client go on with a large command slowly, so that it has room for that, until the test is over.
func (c *raw) slow(t *testing.T) {
	t.Helper()
	over := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		_, _ = io.WriteString(c, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\n")
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for range 50 {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-over:
				return
			case <-ticker.C:
			}
		}
	})
	t.Cleanup(func() {
		close(over)
		writing.Wait()
	})
}

// TestALargeCommandThatFindsNoRoomIsToldSo when those that have it go on.
func TestALargeCommandThatFindsNoRoomIsToldSo(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	r := behind(t, s, "default", func(cfg *enginetest.Config) {
		cfg.Engine = redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 24 << 20, LargeWait: time.Second})
	})
	r.raw(t).slow(t)
	for deadline := time.Now().Add(3 * time.Second); ; {
		other := r.raw(t)
		other.say(t, "SET l "+strings.Repeat("x", 4<<20))
		line := other.line(t)
		if strings.HasPrefix(line, "-ERR the agent is busy with other large commands") {
			return
		}
		if line != "+OK" || time.Now().After(deadline) {
			t.Fatalf("the other client heard %s", line)
		}
	}
}

// Many small arguments cost more than their bytes, and take that room.
func TestSmallArgumentsTakeRoom(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for name, c := range map[string]struct {
		argument  string
		arguments int
		room      int
	}{
		"in a large command":      {"$1\r\nx\r\n", 256 << 10, 20 << 20},
		"in one that looks small": {"$0\r\n\r\n", 160 << 10, 12 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			takesRoom(t, s, c.argument, c.arguments, c.room)
		})
	}
}

// takesRoom begins a command of many arguments, and checks that nobody else finds room until it is complete.
func takesRoom(t *testing.T, s *redisserver.Server, argument string, arguments, room int) {
	t.Helper()
	e := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2 * room, LargeWait: enginetest.Patience})
	r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Engine = e })
	begun := r.raw(t)
	begun.say(t, "PING")
	begun.hear(t, "+PONG\n")
	if _, err := fmt.Fprintf(begun, "*%d\r\n$3\r\nDEL\r\n%s", arguments+2, strings.Repeat(argument, arguments)); err != nil {
		t.Fatal(err)
	}
	other := r.raw(t)
	other.waits(t, "SET l "+strings.Repeat("x", 2<<20))
	if _, err := io.WriteString(begun, "$1\r\ny\r\n"); err != nil {
		t.Fatal(err)
	}
	begun.hear(t, ":0\n")
	other.hear(t, "+OK\n")
}

// a client that does not read costs no more than the buffers: what it does not read is left with the database.
func TestClientThatNeverReads(t *testing.T) {
	const size, replies = 5 << 20, 20
	s := redisserver.Start(t, redisserver.Options{})
	s.Do(t, "SETRANGE", "large", fmt.Sprint(size-1), "x")
	r := behind(t, s, "default")
	c := r.raw(t)
	c.say(t, "PING")
	c.hear(t, "+PONG\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range replies {
		c.say(t, "GET large")
	}
	awaitStack(t, "(*node).send", "(*pollDesc).waitWrite")
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	v := r.agent.Visit(t, 0)
	v.End(fault.New(fault.AccessDenied, "locked"))
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
}

// TestLargeCommandsDoNotWaitForEachOther has two that fit into the room of their user one after the other arrive at the same time.
func TestLargeCommandsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	r, a := ready(t, one, func(cfg *enginetest.Config) {
		cfg.Engine = redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 24 << 20, LargeWait: enginetest.Patience})
	})
	b := r.raw(t)
	b.say(t, "AUTH default secret")
	b.hear(t, "+OK\n")
	const count, size = 2600, 1000
	command := fmt.Sprintf("*%d\r\n$4\r\nSADD\r\n$1\r\nk\r\n", count+2) + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size)), count)
	var writing sync.WaitGroup
	for _, c := range []*raw{a, b} {
		writing.Go(func() {
			for part := range slices.Chunk([]byte(command), 64<<10) { // of both in turn
				if _, err := c.Write(part); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		})
	}
	for _, c := range []*raw{a, b} {
		if line := c.line(t); line != ":1" {
			t.Errorf("heard %s", line)
		}
	}
	writing.Wait()
}
