package redis_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/redisserver"
)

// with has the agent use credentials that are changed after they were made.
func with(change func(*cred.Credential)) func(*enginetest.Config) {
	return func(cfg *enginetest.Config) { cfg.Credentials = changed{cfg.Credentials, change} }
}

type changed struct {
	cred.Source
	change func(*cred.Credential)
}

func (s changed) Credential(ctx context.Context, req cred.Request) (*cred.Credential, error) {
	c, err := s.Source.Credential(ctx, req)
	if err == nil {
		s.change(c)
	}
	return c, err
}

// renewing has the agent open the account "app" with passwords that last for some time; each is as good as the others. It
// returns how many were made.
func renewing(lasts time.Duration) (change func(*enginetest.Config), made *atomic.Int64) {
	made = new(atomic.Int64)
	password := func() string { return fmt.Sprint("secret", made.Add(1)) }
	return with(func(c *cred.Credential) {
		c.Password, c.Lasts = password(), lasts
		c.Renew = func(context.Context) (string, error) { return password(), nil }
	}), made
}

// renewed starts an agent whose logins to the account "app" of a server last for some time, and a client.
func renewed(t *testing.T, lasts time.Duration) (r *real, m *redisserver.Monitor, c *raw, made *atomic.Int64) {
	t.Helper()
	change, made := renewing(lasts)
	r = behind(t, redisserver.Start(t, accounts()), "app", change)
	return r, r.Monitor(t), r.raw(t), made
}

// accounts lets the passwords secret1, secret2 and so on open the account "app".
func accounts() redisserver.Options {
	var rules strings.Builder
	rules.WriteString("app on allkeys allchannels allcommands")
	for i := range 400 {
		fmt.Fprintf(&rules, " >secret%d", i+1)
	}
	return redisserver.Options{Users: []string{"default off", rules.String()}}
}

// authentications counts the logins that a server has seen.
func authentications(m *redisserver.Monitor) (n int) {
	for _, line := range m.Lines() {
		if strings.HasPrefix(strings.ToLower(line), `"auth"`) {
			n++
		}
	}
	return n
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

func TestLoginsAreRenewed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, c *raw, made *atomic.Int64, at int64){
		"of a client that says nothing": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			waitUntil(t, "three renewals", func() bool { return made.Load() >= at+3 })
			c.say(t, "PING")
			c.hear(t, "+PONG\n")
		},
		"in the middle of pipelines, without disorder": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			for n := 0; made.Load() < at+5; n++ {
				c.say(t, fmt.Sprintf("ECHO a%d", n), fmt.Sprintf("ECHO b%d", n), "GET none")
				c.hear(t, fmt.Sprintf("$%d\na%d\n$%d\nb%d\n$-1\n", len(fmt.Sprint(n))+1, n, len(fmt.Sprint(n))+1, n))
			}
		},
		"not within a transaction, but behind it": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			c.say(t, "MULTI", "SET renewed:k 1")
			c.hear(t, "+OK\n+QUEUED\n")
			waitUntil(t, "two attempts", func() bool { return made.Load() >= at+2 })
			c.say(t, "GET renewed:k", "EXEC")
			c.hear(t, "+QUEUED\n*2\n+OK\n$1\n1\n")
			waitUntil(t, "renewals", func() bool { return made.Load() >= at+4 })
		},
		"while a command waits": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			c.say(t, "BLPOP renewed:none 0.7", "PING")
			c.hear(t, "*-1\n+PONG\n")
			waitUntil(t, "a renewal", func() bool { return made.Load() >= at+1 })
		},
		"of a subscriber of version 3": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			c.say(t, "HELLO 3", "SUBSCRIBE renewed:c")
			for c.line(t) != ":1" { // the number of channels ends the confirmation
			}
			waitUntil(t, "three renewals", func() bool { return made.Load() >= at+3 })
			c.say(t, "ECHO done")
			c.hear(t, "$4\ndone\n")
		},
		"of a subscriber of version 2, when it has unsubscribed": func(t *testing.T, c *raw, made *atomic.Int64, at int64) {
			c.say(t, "SUBSCRIBE renewed:c")
			c.hear(t, "*3\n$9\nsubscribe\n$9\nrenewed:c\n:1\n")
			waitUntil(t, "two attempts", func() bool { return made.Load() >= at+2 })
			c.say(t, "UNSUBSCRIBE renewed:c", "ECHO done")
			c.hear(t, "*3\n$11\nunsubscribe\n$9\nrenewed:c\n:0\n$4\ndone\n")
			waitUntil(t, "renewals", func() bool { return made.Load() >= at+4 })
			c.say(t, "ECHO more")
			c.hear(t, "$4\nmore\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, m, c, made := renewed(t, 500*time.Millisecond)
			c.say(t, "PING")
			c.hear(t, "+PONG\n")
			test(t, c, made, made.Load())
			if n := authentications(m); n < 2 {
				t.Errorf("the server has seen %d logins", n)
			}
			for line := range strings.Lines(r.Do(t, "INFO", "commandstats")) {
				if strings.HasPrefix(line, "cmdstat_auth:") && !strings.Contains(line, "rejected_calls=0,failed_calls=0") {
					t.Errorf("a login came where it is refused: %s", line)
				}
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			v := r.agent.Visit(t, 0)
			if err := v.Wait(t); err != nil {
				t.Errorf("the session ended with %v", err)
			}
			for _, query := range queries(v) {
				if strings.HasPrefix(query, "AUTH") {
					t.Errorf("recorded %q, which no client sent", query)
				}
			}
		})
	}
}

// TestResetTakesANewPassword, of logins that last so long that no renewal makes one.
func TestResetTakesANewPassword(t *testing.T) {
	t.Parallel()
	_, m, c, made := renewed(t, 24*time.Hour)
	for n := int64(1); n <= 3; n++ {
		turn := fmt.Sprint("turn:", n)
		c.say(t, "ECHO "+turn)
		c.hear(t, "$6\n"+turn+"\n")
		m.Wait(t, turn)
		if got := made.Load(); got != n {
			t.Errorf("%d passwords were made for %d logins", got, n)
		}
		if got := authentications(m); int64(got) != n {
			t.Errorf("the server has seen %d logins instead of %d", got, n)
		}
		c.say(t, "RESET")
		c.hear(t, "+RESET\n")
	}
}

// TestAPasswordThatHasJustChanged logs in with the new one. One that is wrong again is refused.
func TestAPasswordThatHasJustChanged(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, accounts())
	for next, want := range map[string]string{"secret7": "+PONG", "wrong too": "-WRONGPASS invalid username-password pair or user is disabled."} {
		r := behind(t, s, "app", with(func(c *cred.Credential) {
			c.Password = "wrong"
			c.Renew = func(context.Context) (string, error) { return next, nil }
		}))
		c := r.raw(t)
		c.say(t, "PING")
		if got := c.line(t); got != want {
			t.Errorf("with %q: heard %q", next, got)
		}
	}
}

// TestClientsNeedNoPassword of an account that a credential has opened: what they send instead goes nowhere.
func TestClientsNeedNoPassword(t *testing.T) {
	t.Parallel()
	r, m, c, _ := renewed(t, time.Hour)
	c.say(t, "AUTH app open-sesame", "HELLO 3 AUTH app open-sesame SETNAME me", "CLIENT GETNAME")
	c.hear(t, "+OK\n%7\n")
	for c.line(t) != "modules" { // the list of which comes last, and is empty
	}
	c.hear(t, "*0\n$2\nme\n")
	c.say(t, "MULTI", "AUTH app open-sesame", "EXEC")
	c.hear(t, "+OK\n-ERR AUTH is not passed on within MULTI, and the account app is open already\n-EXECABORT Transaction discarded because of previous errors.\n")
	c.say(t, "AUTH other open-sesame")
	if got := c.line(t); !strings.HasPrefix(got, "-WRONGPASS") {
		t.Errorf("another account: %q", got)
	}
	for _, line := range m.Lines() {
		if strings.Contains(line, "open-sesame") {
			t.Errorf("the server was sent %s", line)
		}
	}
	wantOutcomes(t, r, c, "AUTH app **** → ok", "HELLO 3 AUTH app **** SETNAME me → ok", "CLIENT GETNAME → ok", "MULTI → ok",
		"AUTH app **** → refused: AUTH is not passed on within MULTI, and the account app is open already", "EXEC → refused: Transaction discarded because of previous errors.",
		"AUTH other **** → refused: failed to authenticate as other user. Please provide a correct db username when connecting to Redis: this session is for app")
}

// TestLoginsAreRenewedAtAllNodes of a cluster, while the client goes from one to another.
func TestLoginsAreRenewedAtAllNodes(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 3, accounts())
	keys := []string{c.KeyOn(t, 0, "a"), c.KeyOn(t, 1, "b"), c.KeyOn(t, 2, "c")}
	change, made := renewing(500 * time.Millisecond)
	r := behindCluster(t, c, change, func(cfg *enginetest.Config) { cfg.Identity.Route.User = "app" })
	var monitors []*redisserver.Monitor
	for _, node := range c.Nodes {
		monitors = append(monitors, node.Monitor(t))
	}
	client := r.raw(t)
	renewed := func() bool {
		for _, m := range monitors {
			if authentications(m) < 3 {
				return false
			}
		}
		return true
	}
	deadline := time.Now().Add(enginetest.Patience)
	for n := 0; !renewed(); n++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d logins, some node has seen fewer than 3", made.Load())
		}
		var commands []string
		var want strings.Builder
		for _, key := range keys {
			commands = append(commands, fmt.Sprintf("SET %s v%d", key, n), "GET "+key)
			fmt.Fprintf(&want, "+OK\n$%d\nv%d\n", len(fmt.Sprint(n))+1, n)
		}
		client.say(t, commands...)
		client.hear(t, want.String())
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.agent.Visit(t, 0).Wait(t); err != nil {
		t.Errorf("the session ended with %v", err)
	}
}

// TestRenewalsAreNoActivity of the client, which would keep an idle session open.
func TestRenewalsAreNoActivity(t *testing.T) {
	t.Parallel()
	r, _, c, made := renewed(t, 500*time.Millisecond)
	c.say(t, "PING")
	c.hear(t, "+PONG\n")
	session := r.agent.Visit(t, 0).Session
	last, at := session.LastActivity(), made.Load()
	waitUntil(t, "three renewals", func() bool { return made.Load() >= at+3 })
	if now := session.LastActivity(); now != last {
		t.Errorf("the session was active for %s more", now.Sub(last))
	}
}

// TestWhoLeavesWithinARenewal leaves nothing behind: the login is ours.
func TestWhoLeavesWithinARenewal(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	logins := 0
	s := redistest.Start(t, func(args []string) []byte {
		if args[0] == "CLIENT" {
			return resp.AppendInteger(nil, 7)
		}
		if args[0] == "AUTH" {
			if logins++; logins == 2 {
				close(arrived)
				<-release
			}
		}
		return resp.AppendSimple(nil, "OK")
	})
	defer close(release)
	change, _ := renewing(100 * time.Millisecond)
	cfg := enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()), Credentials: enginetest.AccountsOnly,
	}
	change(&cfg)
	r := &real{agent: enginetest.Start(t, cfg)}
	c := r.raw(t)
	c.say(t, "PING")
	c.hear(t, "+OK\n")
	<-arrived
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.agent.Visit(t, 0).Wait(t); err != nil {
		t.Errorf("the session ended with %v", err)
	}
}
