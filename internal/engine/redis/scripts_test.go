package redis_test

import (
	"crypto/sha1"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/resp"
)

// TestScriptsOfOthersTakeTheRoom has one session keep nearly all that all together may: what another sends with EVAL is executed,
// and not kept; what it only loads is refused.
func TestScriptsOfOthersTakeTheRoom(t *testing.T) {
	t.Parallel()
	const roomy = 1 << 20
	text := "return 1" + strings.Repeat(" ", roomy-100<<10)
	name := sumOf(text)
	for way, free := range map[string]func(r *real, first *raw){
		"the client leaves": func(r *real, first *raw) {
			closed(t, r, first)
		},
		"others of its scripts need the room": func(_ *real, first *raw) {
			first.Write(resp.AppendCommand(nil, "EVAL", "return 2"+text[500<<10:], "0"))
			first.hear(t, ":1\n")
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r, first := ready(t, one, func(cfg *enginetest.Config) {
				cfg.Engine = redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKeptByAll: 2 * roomy})
			})
			first.Write(resp.AppendCommand(nil, "EVAL", text, "0"))
			first.hear(t, ":1\n")
			second := r.raw(t)
			second.say(t, "AUTH default secret")
			second.hear(t, "+OK\n")
			second.Write(resp.AppendCommand(nil, "EVAL", text, "0"))
			second.hear(t, ":1\n")
			second.say(t, "EVALSHA "+name+" 0")
			if line := second.line(t); !strings.HasPrefix(line, "-NOSCRIPT ") {
				t.Errorf("EVALSHA of what is not kept: %s", line)
			}
			second.Write(resp.AppendCommand(nil, "SCRIPT", "LOAD", text))
			if line := second.line(t); !strings.HasPrefix(line, "-ERR there is no room to keep the text of the script") {
				t.Errorf("SCRIPT LOAD: %s", line)
			}
			second.Write(resp.AppendCommand(nil, "SCRIPT", "LOAD", "return 3")) // which is little
			second.hear(t, ":1\n")
			free(r, first)
			small := text[:600<<10]
			if way == "the client leaves" {
				small = text
			}
			second.Write(resp.AppendCommand(nil, "SCRIPT", "LOAD", small))
			second.hear(t, ":1\n")
			if got := queries(r.agent.Visit(t, 1), "db.session.query.failed"); len(got) != 2 {
				t.Errorf("%d refusals are recorded", len(got))
			}
		})
	}
}

// sumOf is the name that the server gives a script.
func sumOf(script string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(script))) }

func TestScripts(t *testing.T) {
	t.Parallel()
	hold(t, map[string]conversation{
		"scripts": func(t *testing.T, r *real, c *raw) {
			c.say(t, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0")
			c.hear(t, "-NOSCRIPT No matching script. Please use EVAL.\n")
			if _, err := io.WriteString(c, lines("*3\n$4\nEVAL\n$8\nreturn 1\n$1\n0\n")); err != nil {
				t.Fatal(err)
			}
			c.hear(t, ":1\n")
			c.say(t, "EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0")
			c.hear(t, ":1\n")
			v := closed(t, r, c)
			events := v.Journal.Events("db.session.query")
			if len(events) != 2 || events[0].Text("db_query") != `EVAL "return 1" 0` || events[1].Text("script") != "return 1" {
				t.Errorf("recorded %v", events)
			}
		},
		"scripts of another session": func(t *testing.T, r *real, c *raw) {
			r.Do(t, "SCRIPT", "LOAD", "return 3")
			c.say(t, "SCRIPT EXISTS "+sumOf("return 3")+" "+sumOf("return 4"))
			c.hear(t, "*2\n:0\n:0\n")
			if _, err := io.WriteString(c, "EVAL 'return 3' 0\r\n"); err != nil {
				t.Fatal(err)
			}
			c.say(t, "SCRIPT EXISTS "+strings.ToUpper(sumOf("return 3"))+" "+sumOf("return 4"))
			c.hear(t, ":3\n*2\n:1\n:0\n")
			wantOutcomes(t, r, c, "SCRIPT EXISTS "+sumOf("return 3")+" "+sumOf("return 4")+" → ok", `EVAL "return 3" 0 → ok`, "SCRIPT EXISTS "+strings.ToUpper(sumOf("return 3"))+" "+sumOf("return 4")+" → ok")
		},
		"scripts that are loaded": func(t *testing.T, r *real, c *raw) {
			if _, err := io.WriteString(c, lines("*3\n$6\nSCRIPT\n$4\nLOAD\n$8\nreturn 2\n")); err != nil {
				t.Fatal(err)
			}
			c.hear(t, "$40\n7f923f79fe76194c868d7e1d0820de36700eb649\n")
			c.say(t, "EVALSHA 7f923f79fe76194c868d7e1d0820de36700eb649 0")
			c.hear(t, ":2\n")
			if events := closed(t, r, c).Journal.Events("db.session.query"); len(events) != 2 || events[1].Text("script") != "return 2" {
				t.Errorf("recorded %v", events)
			}
		},
	})
}
