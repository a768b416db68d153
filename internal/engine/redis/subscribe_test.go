package redis_test

import (
	"slices"
	"strings"
	"testing"
)

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	hold(t, map[string]conversation{
		"subscriptions in RESP2": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SUBSCRIBE two:a two:b", "PSUBSCRIBE two:*")
			c.hear(t, "*3\n$9\nsubscribe\n$5\ntwo:a\n:1\n*3\n$9\nsubscribe\n$5\ntwo:b\n:2\n*3\n$10\npsubscribe\n$5\ntwo:*\n:3\n")
			r.Do(t, "PUBLISH", "two:a", "hello")
			c.hear(t, "*3\n$7\nmessage\n$5\ntwo:a\n$5\nhello\n*4\n$8\npmessage\n$5\ntwo:*\n$5\ntwo:a\n$5\nhello\n")
			c.say(t, "PING", "UNSUBSCRIBE", "GET two:k", "PUNSUBSCRIBE", "UNSUBSCRIBE", "GET two:k")
			c.hear(t, "*2\n$4\npong\n$0\n\n")
			heard := []string{}
			for range 2 {
				c.hear(t, "*3\n$11\nunsubscribe\n$5\n")
				heard = append(heard, c.line(t))
				c.line(t)
			}
			slices.Sort(heard)
			if !slices.Equal(heard, []string{"two:a", "two:b"}) {
				t.Errorf("unsubscribed %q", heard)
			}
			if line := c.line(t); !strings.HasPrefix(line, "-ERR Can't execute 'get'") {
				t.Errorf("within a subscription: %s", line)
			}
			c.hear(t, "*3\n$12\npunsubscribe\n$5\ntwo:*\n:0\n*3\n$11\nunsubscribe\n$-1\n:0\n$-1\n")
			got := outcomes(closed(t, r, c))
			if len(got) != 8 || got[7] != "GET two:k → ok" {
				t.Errorf("recorded\n%s", strings.Join(got, "\n"))
			}
		},
		"unsubscribing without subscriptions": func(t *testing.T, r *real, c *raw) {
			c.say(t, "UNSUBSCRIBE none:a none:b", "GET none:k", "UNSUBSCRIBE", "GET none:k")
			c.hear(t, "*3\n$11\nunsubscribe\n$6\nnone:a\n:0\n*3\n$11\nunsubscribe\n$6\nnone:b\n:0\n$-1\n*3\n$11\nunsubscribe\n$-1\n:0\n$-1\n")
			c.say(t, "PING")
			c.hear(t, "+PONG\n")
			wantOutcomes(t, r, c, "UNSUBSCRIBE none:a none:b → ok", "GET none:k → ok", "UNSUBSCRIBE → ok", "GET none:k → ok", "PING → ok")
		},
		"subscriptions in RESP3": func(t *testing.T, r *real, c *raw) {
			c.say(t, "HELLO 3")
			if line := c.line(t); line[0] != '%' {
				t.Fatal(line)
			}
			for !strings.HasPrefix(c.line(t), "*") {
			}
			c.say(t, "SUBSCRIBE three:a", "SET three:k v", "GET three:k")
			c.hear(t, ">3\n$9\nsubscribe\n$7\nthree:a\n:1\n+OK\n$1\nv\n")
			c.say(t, "PUBLISH three:a hello")
			heard := c.line(t)
			if heard != ":1" && heard != ">3" {
				t.Fatal(heard)
			}
			c.Close()
			if got := outcomes(closed(t, r, c)); len(got) != 5 || got[1] != "SUBSCRIBE three:a → ok" || got[4] != "PUBLISH three:a hello → ok" {
				t.Errorf("recorded\n%s", strings.Join(got, "\n"))
			}
		},
		"messages amid the answer to a transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "HELLO 3")
			for !strings.HasPrefix(c.line(t), "*") {
			}
			c.say(t, "SUBSCRIBE amid:a")
			c.hear(t, ">3\n$9\nsubscribe\n$6\namid:a\n:1\n")
			c.say(t, "MULTI", "PUBLISH amid:a x", "SET amid:k v", "EXEC", "LPUSH amid:k 1", "GET amid:k")
			c.hear(t, "+OK\n+QUEUED\n+QUEUED\n*2\n")
			for !strings.HasPrefix(c.line(t), "-WRONGTYPE") {
			}
			c.hear(t, "$1\nv\n")
			wantOutcomes(t, r, c, "HELLO 3 → ok", "SUBSCRIBE amid:a → ok", "MULTI → ok", "PUBLISH amid:a x → ok", "SET amid:k v → ok", "EXEC → ok", "LPUSH amid:k 1 → WRONGTYPE Operation against a key holding the wrong kind of value", "GET amid:k → ok")
		},
	})
}
