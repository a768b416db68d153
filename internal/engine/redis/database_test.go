package redis_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/identity"
	"sallyport/internal/redisserver"
)

// TestTheRecordNamesTheDatabase in which a command is executed.
func TestTheRecordNamesTheDatabase(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Identity.Route.Database = "7" })
	c := r.raw(t)
	c.say(t, "SET in 7", "SELECT 3", "SET in 3", "SELECT 99", "SELECT x", "SET still 3",
		"MULTI", "SELECT 4", "SET in 4", "EXEC", "SET behind 4",
		"MULTI", "SELECT 5", "SET never 5", "DISCARD", "SET back 4",
		"MULTI", "SELECT 6", "CONFIG GET *", "EXEC", "SET again 4",
		"RESET", "SET reset 7")
	c.hear(t, "+OK\n+OK\n+OK\n-ERR DB index is out of range\n-ERR value is not an integer or out of range\n+OK\n"+
		"+OK\n+QUEUED\n+QUEUED\n*2\n+OK\n+OK\n+OK\n"+
		"+OK\n+QUEUED\n+QUEUED\n+OK\n+OK\n"+
		"+OK\n+QUEUED\n-NOPERM CONFIG GET concerns the server and not its data, and your roles do not allow it\n-EXECABORT Transaction discarded because of previous errors.\n+OK\n"+
		"+RESET\n+OK\n")
	for _, e := range closed(t, r, c).Journal.Statements() {
		if words := strings.Fields(e.Text("db_query")); words[0] == "SET" {
			if e.Text("db_name") != words[2] {
				t.Errorf("%s is recorded in %q", words, e.Text("db_name"))
			}
			if got := strings.TrimSpace(s.Do(t, "EVAL", "redis.call('SELECT', ARGV[1]) return redis.call('GET', ARGV[2])", "0", words[2], words[1])); words[1] != "never" && words[1] != "in" && got != words[2] {
				t.Errorf("%s is in database %s: %q", words[1], words[2], got)
			}
		}
	}
}

// TestDatabasesThatThereAreNot are refused before anything is passed on.
func TestDatabasesThatThereAreNot(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for name, want := range map[string]string{
		"x":  `-ERR the databases of Redis are numbers, and "x" is none; connect with --db-name=0, or without it`,
		"07": `-ERR the databases of Redis are numbers, and "07" is none; connect with --db-name=0, or without it`,
		"-1": `-ERR the databases of Redis are numbers, and "-1" is none; connect with --db-name=0, or without it`,
		"99": "-ERR DB index is out of range; the database 99 could not be selected",
	} {
		r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Identity.Route.Database = name })
		c := r.raw(t)
		c.say(t, "GET a")
		if got := c.line(t); got != want {
			t.Errorf("%q: heard %q", name, got)
		}
		if got := queries(closed(t, r, c)); slices.Contains(got, "GET a") {
			t.Errorf("%q: passed on %q", name, got)
		}
	}
}

func TestClustersHaveOneDatabase(t *testing.T) {
	t.Parallel()
	_, c := startRogueCluster(t, moved, func(cfg *enginetest.Config) {
		cfg.Identity = &identity.Identity{
			Kind: identity.User, Cluster: "test", Name: "alice", Roles: []string{"db"},
			Route: &identity.Route{Service: cfg.Database.GetName(), Protocol: "redis", Database: "3"},
		}
	})
	c.say(t, "GET a")
	if got := c.line(t); got != "-ERR Redis Cluster has the database 0 only, and not 3; connect without --db-name" {
		t.Errorf("heard %q", got)
	}
}
