package redis_test

import (
	"crypto/sha1"
	"encoding/hex"
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
	sum := sha1.Sum([]byte(text))
	name := hex.EncodeToString(sum[:])
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
