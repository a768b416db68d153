package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/redisserver"
)

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
