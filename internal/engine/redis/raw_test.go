package redis_test

import (
	"bufio"
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/redisserver"
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

// sumOf is the name that the server gives a script.
func sumOf(script string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(script))) }

func TestConversations(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for name, test := range map[string]func(t *testing.T, r *real, c *raw){
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
		"a transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SET tx:k v", "INCR tx:k", "EXEC", "GET tx:k")
			c.hear(t, "+OK\n+QUEUED\n+QUEUED\n*2\n+OK\n-ERR value is not an integer or out of range\n$1\nv\n")
			wantOutcomes(t, r, c, "MULTI → ok", "SET tx:k v → ok", "INCR tx:k → ERR value is not an integer or out of range", "EXEC → ok", "GET tx:k → ok")
		},
		"a transaction with a refused command": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SET bad:k v", "CONFIG REWRITE", "EXEC", "EXISTS bad:k")
			c.hear(t, "+OK\n+QUEUED\n-NOPERM CONFIG REWRITE concerns the server and not its data, and your roles do not allow it\n-EXECABORT Transaction discarded because of previous errors.\n:0\n")
			wantOutcomes(t, r, c, "MULTI → ok", "SET bad:k v → not executed, because the transaction was discarded",
				"CONFIG REWRITE → refused: CONFIG REWRITE concerns the server and not its data, and your roles do not allow it",
				"EXEC → refused: Transaction discarded because of previous errors.", "EXISTS bad:k → ok")
		},
		"a refusal within a transaction is not lost by a second MULTI": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SET twice:k v", "CONFIG REWRITE", "MULTI", "EXEC", "EXISTS twice:k")
			c.hear(t, "+OK\n+QUEUED\n-NOPERM CONFIG REWRITE concerns the server and not its data, and your roles do not allow it\n-ERR MULTI calls can not be nested\n-EXECABORT Transaction discarded because of previous errors.\n:0\n")
		},
		"another version of the protocol within a transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "HELLO 3", "EXEC", "PING")
			c.hear(t, "+OK\n-ERR HELLO is not passed on within MULTI, because it would change the protocol in the middle of a reply\n-EXECABORT Transaction discarded because of previous errors.\n+PONG\n")
			c.say(t, "RPUSH hello:k message a b", "SUBSCRIBE hello:c")
			c.hear(t, ":3\n*3\n$9\nsubscribe\n$7\nhello:c\n:1\n")
		},
		"a transaction that is discarded": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SET dis:k v", "DISCARD", "EXEC")
			c.hear(t, "+OK\n+QUEUED\n+OK\n-ERR EXEC without MULTI\n")
			wantOutcomes(t, r, c, "MULTI → ok", "SET dis:k v → not executed, because the transaction was discarded", "DISCARD → ok", "EXEC → ERR EXEC without MULTI")
		},
		"a transaction that a watched key ends": func(t *testing.T, r *real, c *raw) {
			c.say(t, "WATCH watch:k", "MULTI", "SET watch:l v")
			c.hear(t, "+OK\n+OK\n+QUEUED\n")
			s.Do(t, "SET", "watch:k", "changed")
			c.say(t, "EXEC")
			c.hear(t, "*-1\n")
			wantOutcomes(t, r, c, "WATCH watch:k → ok", "MULTI → ok", "SET watch:l v → not executed, because a watched key has changed", "EXEC → ok")
		},
		"subscriptions in RESP2": func(t *testing.T, r *real, c *raw) {
			c.say(t, "SUBSCRIBE two:a two:b", "PSUBSCRIBE two:*")
			c.hear(t, "*3\n$9\nsubscribe\n$5\ntwo:a\n:1\n*3\n$9\nsubscribe\n$5\ntwo:b\n:2\n*3\n$10\npsubscribe\n$5\ntwo:*\n:3\n")
			s.Do(t, "PUBLISH", "two:a", "hello")
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
		"subscribing within a transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SUBSCRIBE a", "EXEC", "PING")
			c.hear(t, "+OK\n-ERR SUBSCRIBE is not passed on within MULTI, because its replies could not be told apart\n-EXECABORT Transaction discarded because of previous errors.\n+PONG\n")
		},
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
		"what begins no transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI now", "SELECT 99", "SET begins:k v", "SELECT 1", "SET begins:k v", "MULTI", "SELECT 2", "EXEC now", "SET begins:k v",
				"MULTI", "DISCARD now", "SELECT 3", "SET begins:k v", "RESET now", "DISCARD")
			c.hear(t, "-ERR wrong number of arguments for 'multi' command\n-ERR DB index is out of range\n+OK\n+OK\n+OK\n+OK\n+QUEUED\n"+
				"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\n+OK\n"+
				"+OK\n-ERR wrong number of arguments for 'discard' command\n+QUEUED\n+QUEUED\n-ERR wrong number of arguments for 'reset' command\n+OK\n")
			events := closed(t, r, c).Journal.Events("db.session.query")
			for i, want := range map[int]string{2: "", 4: "1", 8: "1", 12: "3"} {
				if got := events[i].Text("db_name"); got != want {
					t.Errorf("%s is recorded in %q, want %q", events[i].Text("db_query"), got, want)
				}
			}
		},
		"a transaction that the account may not begin": func(t *testing.T, r *real, _ *raw) {
			r.Do(t, "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-multi")
			r = behind(t, r.Server, "reader")
			c := r.raw(t)
			c.say(t, "AUTH reader secret", "MULTI", "SELECT 99", "SET may:k v", "SELECT 1", "SET may:k v", "HELLO 2")
			c.hear(t, "+OK\n-NOPERM this user has no permissions to run the 'multi' command\n-ERR DB index is out of range\n+OK\n+OK\n+OK\n*14\n")
			events := closed(t, r, c).Journal.Events("db.session.query")
			for i, want := range map[int]string{len(events) - 4: "", len(events) - 2: "1"} {
				if got := events[i].Text("db_name"); got != want {
					t.Errorf("%s is recorded in %q, want %q", events[i].Text("db_query"), got, want)
				}
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
			if got := s.Do(t, "GET", "quit:k"); got != "v" {
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
			for deadline := time.Now().Add(enginetest.Patience); s.Do(t, "LPUSH", "block:other", "x") == ""; {
				if time.Now().After(deadline) {
					t.Fatal("nothing blocks")
				}
			}
			s.Do(t, "LPUSH", "block:k", "v")
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := behind(t, s, "default")
			test(t, r, r.raw(t))
		})
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

// everything is a role that allows administrative commands too.
const everything = `{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_commands: ['*']}}`

func TestRolesAllowAdministrativeCommands(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	role := func(part string) string {
		return `{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_commands: [` + part + `]}}`
	}
	for name, c := range map[string]struct {
		roles   []string
		command string
		refused bool
	}{
		"by its name":                      {[]string{role("config get")}, "CONFIG GET maxmemory", false},
		"by its first word":                {[]string{role("CONFIG")}, "config get maxmemory", false},
		"by the star":                      {[]string{role("'*'")}, "SLOWLOG LEN", false},
		"another one":                      {[]string{role("config get")}, "CONFIG REWRITE", true},
		"a word that looks like it":        {[]string{role("conf")}, "CONFIG GET maxmemory", true},
		"none":                             {[]string{role("")}, "CLIENT LIST", true},
		"denied by another role":           {[]string{role("'*'"), `{deny: {db_commands: [config]}}`}, "CONFIG GET maxmemory", true},
		"for another account":              {[]string{role(""), `{allow: {db_labels: {'*': '*'}, db_users: [other], db_commands: ['*']}}`}, "DBSIZE", false},
		"for another account, an admin":    {[]string{role(""), `{allow: {db_labels: {'*': '*'}, db_users: [other], db_commands: ['*']}}`}, "CLIENT LIST", true},
		"a command that is not known":      {[]string{role("json.get")}, "JSON.GET k", false},
		"two words of what is not known":   {[]string{role("ft.config get")}, "FT.CONFIG GET a", false},
		"other words of what is not known": {[]string{role("ft.config get")}, "FT.CONFIG SET a", true},
		"what begins with a long name":     {[]string{role(strings.Repeat("x", 64))}, strings.Repeat("x", 65), true},
		"a long name":                      {[]string{role(strings.Repeat("x", 64))}, strings.Repeat("x", 64), false},
		"never what cannot be followed":    {[]string{role("'*'")}, "MONITOR", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Roles = c.roles })
			client := r.raw(t)
			client.say(t, c.command)
			if line := client.line(t); strings.HasPrefix(line, "-NOPERM") != c.refused {
				t.Errorf("heard %s", line)
			}
		})
	}
}

// TestRolesDenyCommands has the server get nothing of what a role denies, in whatever form it is said, and the client read why.
func TestRolesDenyCommands(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for name, c := range map[string]struct {
		denied   string
		commands string // on lines
		want     string
		got      []string // by the server, of the commands
	}{
		"a command about data":             {"[flushall]", "FLUSHALL\nGET a", "-NOPERM FLUSHALL is denied by your roles\n$-1\n", []string{`"GET" "a"`}},
		"in the letters of the other case": {"[FlushAll]", "fLUSHaLL ASYNC", "-NOPERM FLUSHALL is denied by your roles\n", nil},
		"by its name of two words":         {"[script flush]", "SCRIPT FLUSH\nSCRIPT EXISTS b", "-NOPERM SCRIPT FLUSH is denied by your roles\n*1\n:0\n", []string{`"SCRIPT" "EXISTS" ""`}},
		"by its first word":                {"[object]", "OBJECT FREQ c\nOBJECT HELP", "-NOPERM OBJECT FREQ is denied by your roles\n-NOPERM OBJECT HELP is denied by your roles\n", nil},
		"by the star": {"['*']", "PING\nHELLO 3\nMULTI\nRESET\nAUTH default x\nNOSUCH", "-NOPERM PING is denied by your roles\n-NOPERM HELLO is denied by your roles\n" +
			"-NOPERM MULTI is denied by your roles\n-NOPERM RESET is denied by your roles\n-NOPERM AUTH is denied by your roles\n-NOPERM NOSUCH is denied by your roles\n", nil},
		"what concerns the server":       {"[config set]", "CONFIG SET hz 10\nCONFIG GET nosuch", "-NOPERM CONFIG SET is denied by your roles\n*0\n", nil},
		"what is not known":              {"[json.get]", "JSON.GET d", "-NOPERM JSON.GET is denied by your roles\n", nil},
		"two words of what is not known": {"[ft.config set]", "FT.CONFIG SET a\nft.config set b\nNOSUCH a", "-NOPERM FT.CONFIG is denied by your roles\n-NOPERM FT.CONFIG is denied by your roles\n-ERR unknown command 'NOSUCH', with args beginning with: 'a' \n", nil},
		"a name that begins alike":       {"[get]", "GETDEL e\nGET e", "$-1\n-NOPERM GET is denied by your roles\n", []string{`"GETDEL" "e"`}},
		"within a transaction":           {"[del]", "MULTI\nSET f v\nDEL f\nEXEC\nEXISTS f", "+OK\n+QUEUED\n-NOPERM DEL is denied by your roles\n-EXECABORT Transaction discarded because of previous errors.\n:0\n", []string{`"MULTI"`, `"DISCARD"`, `"EXISTS" "f"`}},
		"the ways to run scripts":        {"[eval, evalsha, fcall, script, function]", "EVAL return 0\nEVALSHA x 0\nFCALL x 0\nSCRIPT LOAD x\nFUNCTION LOAD x", "-NOPERM EVAL is denied by your roles\n-NOPERM EVALSHA is denied by your roles\n-NOPERM FCALL is denied by your roles\n-NOPERM SCRIPT LOAD is denied by your roles\n-NOPERM FUNCTION LOAD is denied by your roles\n", nil},
		"subscriptions":                  {"[subscribe]", "SUBSCRIBE g\nPING", "-NOPERM SUBSCRIBE is denied by your roles\n+PONG\n", []string{`"PING"`}},
		"what nobody may do anyway":      {"[monitor]", "MONITOR", "-NOPERM MONITOR is denied by your roles\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			deny := `{deny: {db_commands: ` + c.denied + `}}`
			for _, form := range []string{"in the usual form", "in lines"} {
				r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Roles = []string{everything, deny} })
				m := s.Monitor(t)
				raw := r.raw(t)
				commands := strings.Split(c.commands, "\n")
				if form == "in lines" {
					fmt.Fprint(raw, lines(c.commands+"\n"))
				} else {
					raw.say(t, commands...)
				}
				raw.hear(t, c.want)
				if failed := queries(closed(t, r, raw), "db.session.query.failed"); len(failed) < strings.Count(c.want, "denied") {
					t.Errorf("%s: refusals in the record: %q", form, failed)
				}
				behind(t, s, "default").cli(t, "", "ECHO", "the end")
				m.Wait(t, "the end")
				got := slices.DeleteFunc(m.Lines(), func(line string) bool {
					return !slices.ContainsFunc(commands, func(c string) bool {
						return strings.Contains(strings.ToUpper(line), `"`+strings.ToUpper(strings.Fields(c)[0])+`"`)
					}) && line != `"DISCARD"`
				})
				got = slices.DeleteFunc(got, func(line string) bool {
					return strings.HasPrefix(line, `"AUTH" "(redacted)"`) || strings.HasPrefix(line, `"COMMAND"`)
				})
				if !slices.Equal(got, c.got) {
					t.Errorf("%s: the server got %q, want %q", form, got, c.got)
				}
			}
		})
	}
}

func TestRolesDenyCommandsInClusters(t *testing.T) {
	t.Parallel()
	c, raw := startRogueCluster(t, moved, func(cfg *enginetest.Config) {
		cfg.Roles = []string{everything, `{deny: {db_commands: [flushall, set, multi]}}`}
	})
	raw.say(t, "GET b", "FLUSHALL", "SET b v", "MULTI")
	raw.hear(t, "+OK\n-NOPERM FLUSHALL is denied by your roles\n-NOPERM SET is denied by your roles\n-NOPERM MULTI is denied by your roles\n")
	for node := range c.nodes {
		for _, command := range c.said(node) {
			if !strings.HasPrefix(command, "AUTH ") && !strings.HasPrefix(command, "GET ") && command != "CLUSTER SLOTS" {
				t.Errorf("node %d got %q", node, command)
			}
		}
	}
}

// Roles that change hold for sessions that are open.
func TestDenialsThatCome(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	var denied atomic.Pointer[access.Commands]
	var now atomic.Int64
	began := time.Now()
	denied.Store(&access.Commands{})
	r := behind(t, s, "default", func(cfg *enginetest.Config) {
		cfg.Now = func() time.Time { return began.Add(time.Duration(now.Load())) }
		cfg.Denied = func() access.Commands { return *denied.Load() }
	})
	c := r.raw(t)
	for _, step := range []struct {
		denied access.Commands
		want   string
	}{{nil, "+OK\n"}, {access.Commands{"set"}, "-NOPERM SET is denied by your roles\n"}, {nil, "+OK\n"}} {
		denied.Store(&step.denied)
		now.Add(int64(time.Second))
		c.say(t, "SET come:k v")
		c.hear(t, step.want)
	}
}
