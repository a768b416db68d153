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
