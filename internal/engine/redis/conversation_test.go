package redis_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/redisserver"
)

// conversation is what a client says to a real server and hears of it, in a session of its own.
type conversation func(t *testing.T, r *real, c *raw)

// hold holds conversations, all of them with one server.
func hold(t *testing.T, conversations map[string]conversation) {
	t.Helper()
	s := redisserver.Start(t, redisserver.Options{})
	for name, converse := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := behind(t, s, "default")
			converse(t, r, r.raw(t))
		})
	}
}

func TestConversations(t *testing.T) {
	t.Parallel()
	hold(t, map[string]conversation{
		"lines, and commands among them": func(t *testing.T, r *real, c *raw) {
			fmt.Fprintf(c, "SET  line:k 'a b'\r\n*2\r\n$3\r\nGET\r\n$6\r\nline:k\r\n\r\nGET \"line:\\x6b\"\n*0\r\nPING\r\n")
			c.hear(t, "+OK\n$3\na b\n$3\na b\n+PONG\n")
			wantOutcomes(t, r, c, `SET line:k "a b" → ok`, "GET line:k → ok", "GET line:k → ok", "PING → ok")
		},
		"a pipeline, refusals in their places": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SET pipe:k 1", "CONFIG GET *", "INCR pipe:k", "NOSUCH x", "LPUSH pipe:k x", "GET pipe:k")
			c.hear(t, "+OK\n-NOPERM CONFIG GET concerns the server and not its data, and your roles do not allow it\n:2\n"+
				"-NOPERM this system does not know the command NOSUCH, so it may concern the server, and your roles do not allow it\n"+
				"-WRONGTYPE Operation against a key holding the wrong kind of value\n$1\n2\n")
			wantOutcomes(t, r, c, "SET pipe:k 1 → ok", `CONFIG GET "*" → refused: CONFIG GET concerns the server and not its data, and your roles do not allow it`, "INCR pipe:k → ok",
				"NOSUCH x → refused: this system does not know the command NOSUCH, so it may concern the server, and your roles do not allow it",
				"LPUSH pipe:k x → WRONGTYPE Operation against a key holding the wrong kind of value", "GET pipe:k → ok")
		},
		"RESET ends RESP3": func(t *testing.T, r *real, c *raw) {
			c.say(t, "HELLO 3")
			for !strings.HasPrefix(c.line(t), "*") {
			}
			c.say(t, "RESET", "SUBSCRIBE back:a back:b", "PING")
			c.hear(t, "+RESET\n*3\n$9\nsubscribe\n$6\nback:a\n:1\n*3\n$9\nsubscribe\n$6\nback:b\n:2\n*2\n$4\npong\n$0\n\n")
			c.say(t, "PING")
			c.hear(t, "*2\n$4\npong\n$0\n\n")
			wantOutcomes(t, r, c, "HELLO 3 → ok", "RESET → ok", "SUBSCRIBE back:a back:b → ok", "PING → ok", "PING → ok")
		},
		"RESET": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SELECT 3", "MULTI", "SET reset:k v", "RESET", "ACL WHOAMI", "GET reset:k")
			c.hear(t, "+OK\n+OK\n+QUEUED\n+RESET\n$7\ndefault\n$-1\n")
			wantOutcomes(t, r, c, "SELECT 3 → ok", "MULTI → ok", "SET reset:k v → not executed, because the transaction was discarded", "RESET → ok", "ACL WHOAMI → ok", "GET reset:k → ok")
		},
		"QUIT": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SET quit:k v", "QUIT", "SET quit:k late")
			c.hear(t, "+OK\n+OK\n")
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Errorf("after QUIT: %v", err)
			}
			v := r.agent.Visit(t, 0)
			if err := v.Wait(t); err != nil {
				t.Errorf("the engine returned %v", err)
			}
			if got := r.Do(t, "GET", "quit:k"); got != "v" {
				t.Errorf("the key has %q", got)
			}
		},
		"what terminals would obey": func(t *testing.T, r *real, c *raw) {
			if _, err := c.Write(resp.AppendCommand(nil, "ECHO", "\u202e\u009b\x1b\x7f é")); err != nil {
				t.Fatal(err)
			}
			c.hear(t, "$10\n\u202e\u009b\x1b\x7f é\n")
			wantOutcomes(t, r, c, `ECHO "\xe2\x80\xae\xc2\x9b\x1b\x7f é" → ok`)
		},
		"a blocking command": func(t *testing.T, r *real, c *raw) {
			c.say(t, "BLPOP block:k 0")
			for deadline := time.Now().Add(enginetest.Patience); r.Do(t, "LPUSH", "block:other", "x") == ""; {
				if time.Now().After(deadline) {
					t.Fatal("nothing blocks")
				}
			}
			r.Do(t, "LPUSH", "block:k", "v")
			c.hear(t, "*2\n$7\nblock:k\n$1\nv\n")
			wantOutcomes(t, r, c, "BLPOP block:k 0 → ok")
		},
		"commands that cannot be followed": func(t *testing.T, r *real, c *raw) {
			for _, command := range []string{"MONITOR", "SYNC", "PSYNC ? -1", "REPLCONF listening-port 1", "CLIENT REPLY OFF", "client reply skip", "SCRIPT DEBUG YES"} {
				c.say(t, command)
				if line := c.line(t); !strings.Contains(line, "is not passed on by this system") {
					t.Errorf("%s: %s", command, line)
				}
			}
			c.say(t, "PING")
			c.hear(t, "+PONG\n")
		},
		"what is no command": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SET malformed:k v")
			if _, err := io.WriteString(c, "*1\r\n:1\r\n"); err != nil {
				t.Fatal(err)
			}
			c.hear(t, "+OK\n-ERR Protocol error: this is no command of Redis; the session ends\n")
			v := r.agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if events := v.Journal.Events("db.session.malformed_packet"); len(events) != 1 {
				t.Errorf("recorded %v", events)
			}
		},
	})
}
