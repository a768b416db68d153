package redis_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/redisserver"
)

const undiscarded = "NOPERM this user has no permissions to run the 'discard' command"

// TestTransactionsThatTheAccountMayNotDiscard goes on in them.
func TestTransactionsThatTheAccountMayNotDiscard(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"app on nopass ~* &* +@all -discard"}})
	r := behind(t, s, "app")
	c := r.raw(t)
	c.say(t, "MULTI", "DISCARD", "SET k v", "EXEC", "SET k w", "MULTI", "DISCARD", "SUBSCRIBE n")
	c.hear(t, "+OK\n-"+undiscarded+"\n+QUEUED\n-EXECABORT Transaction discarded because of previous errors.\n+OK\n+OK\n-"+undiscarded+"\n")
	if line := c.line(t); !strings.Contains(line, "within MULTI") {
		t.Errorf("within a transaction SUBSCRIBE was answered with %s", line)
	}
	v := closed(t, r, c)
	if got := outcomes(v); !slices.Contains(got, "SET k v → not executed, because the transaction was discarded") || !slices.Contains(got, "SET k w → ok") {
		t.Errorf("recorded %q", got)
	}
}

// TestARefusedTransactionThatCannotBeDiscarded ends with its session: what came next would be queued, and recorded as if it were executed.
func TestARefusedTransactionThatCannotBeDiscarded(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"app on nopass ~* &* +@all -discard"}})
	r := behind(t, s, "app", func(cfg *enginetest.Config) {
		cfg.Denied = func() access.Commands { return access.Commands{"flushall"} }
	})
	c := r.raw(t)
	c.say(t, "MULTI", "SET a 1", "FLUSHALL", "EXEC")
	c.hear(t, "+OK\n+QUEUED\n-NOPERM")
	c.line(t)
	if line := c.line(t); !strings.Contains(line, "does not let it be discarded ("+undiscarded+"); connect again") {
		t.Errorf("EXEC was answered with %s", line)
	}
	v := r.agent.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the session ended with %v", err)
	}
	if got := outcomes(v); slices.Contains(got, "SET a 1 → ok") {
		t.Errorf("recorded %q", got)
	}
	if got := s.Do(t, "EXISTS", "a"); got != "0" {
		t.Errorf("a: %s", got)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	hold(t, map[string]conversation{
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
			r.Do(t, "SET", "watch:k", "changed")
			c.say(t, "EXEC")
			c.hear(t, "*-1\n")
			wantOutcomes(t, r, c, "WATCH watch:k → ok", "MULTI → ok", "SET watch:l v → not executed, because a watched key has changed", "EXEC → ok")
		},
		"subscribing within a transaction": func(t *testing.T, r *real, c *raw) {
			c.say(t, "MULTI", "SUBSCRIBE a", "EXEC", "PING")
			c.hear(t, "+OK\n-ERR SUBSCRIBE is not passed on within MULTI, because its replies could not be told apart\n-EXECABORT Transaction discarded because of previous errors.\n+PONG\n")
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
	})
}

// TestTransactionsThatTheAccountMayNotBegin are found out in a cluster when the first command has come, which tells the node.
func TestTransactionsThatTheAccountMayNotBegin(t *testing.T) {
	t.Parallel()
	s := redisserver.StartCluster(t, 2, redisserver.Options{Users: []string{"app on nopass ~* &* +@all -multi"}})
	r := behindCluster(t, s, func(cfg *enginetest.Config) {
		cfg.Identity.Route.User = "app"
		cfg.Credentials = enginetest.Given(cred.Credential{Certificate: s.Nodes[0].ClientCertificate(t, "app")})
	})
	c := r.raw(t)
	c.say(t, "MULTI", "SET k v")
	c.hear(t, "+OK\n-NOPERM the database refuses the account MULTI (NOPERM this user has no permissions to run the 'multi' command), and it was answered already; "+
		"have the account be given +multi, or go without transactions\n")
	if err := r.agent.Visit(t, 0).Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the session ended with %v", err)
	}
}
