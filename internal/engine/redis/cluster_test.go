package redis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/redisserver"
)

// behindCluster starts an agent for a cluster, of which it is told the first node.
func behindCluster(t testing.TB, c *redisserver.Cluster, change ...func(*enginetest.Config)) *real {
	t.Helper()
	return behind(t, c.Nodes[0], "default", append([]func(*enginetest.Config){func(cfg *enginetest.Config) {
		cfg.Database.Spec.URI = "rediss://" + c.Nodes[0].Addr + "?mode=cluster"
		if err := cfg.Database.Validate(); err != nil {
			t.Fatal(err)
		}
	}}, change...)...)
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 3, redisserver.Options{})
	one, two, three := c.KeyOn(t, 0, "a"), c.KeyOn(t, 1, "b"), c.KeyOn(t, 2, "c")
	for name, test := range map[string]func(t *testing.T, r *real){
		"keys of all nodes, in one pipeline": func(t *testing.T, r *real) {
			raw := r.raw(t)
			var want, commands []string
			for i := range 10 {
				for _, key := range []string{one, two, three} {
					commands = append(commands, fmt.Sprintf("SET %s %d", key, i), "GET "+key)
					want = append(want, fmt.Sprintf("+OK\n$1\n%d\n", i))
				}
			}
			raw.say(t, commands...)
			raw.hear(t, strings.Join(want, ""))
			wantOutcomes(t, r, raw, func() (list []string) {
				for _, command := range commands {
					list = append(list, command+" → ok")
				}
				return list
			}()...)
		},
		"keys of several slots in one command": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "MGET "+one+" "+two, "MSET {tag}a 1 {tag}b 2", "MGET {tag}a {tag}b")
			if line := raw.line(t); !strings.HasPrefix(line, "-CROSSSLOT Keys in request don't hash to the same slot of the cluster") {
				t.Error(line)
			}
			raw.hear(t, "+OK\n*2\n$1\n1\n$1\n2\n")
		},
		"what would tell of one node only": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "KEYS *", "DBSIZE", "SCAN 0", "PING")
			for _, name := range []string{"KEYS", "DBSIZE", "SCAN"} {
				if line := raw.line(t); !strings.HasPrefix(line, "-ERR "+name+" tells of one node only") {
					t.Error(line)
				}
			}
			raw.hear(t, "+PONG\n")
		},
		"transactions": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "SET "+one+" 1", "MULTI", "SET "+three+" x", "GET "+three, "EXEC", "MULTI", "EXEC", "GET "+one)
			raw.hear(t, "+OK\n+OK\n+QUEUED\n+QUEUED\n*2\n+OK\n$1\nx\n+OK\n*0\n$1\n1\n")
			raw.say(t, "MULTI", "SET "+two+" x", "SET "+three+" y", "EXEC", "PING")
			raw.hear(t, "+OK\n+QUEUED\n-CROSSSLOT Keys of a transaction must belong to the same slot of the cluster: put the same {tag} into them\n"+
				"-EXECABORT Transaction discarded because of previous errors.\n+PONG\n")
			raw.say(t, "WATCH "+two, "MULTI", "SET "+two+" z", "EXEC", "GET "+two)
			raw.hear(t, "+OK\n+OK\n+QUEUED\n*1\n+OK\n$1\nz\n")
		},
		"RESP3 and RESET on all nodes": func(t *testing.T, r *real) {
			client := r.client(t, func(o *goredis.Options) { o.Protocol = 3 })
			for _, key := range []string{one + "h", two, three} {
				client.Del(t.Context(), key)
				if err := client.HSet(t.Context(), key, "f", "v").Err(); err != nil {
					t.Fatal(err)
				}
				if got, err := client.HGetAll(t.Context(), key).Result(); err != nil || got["f"] != "v" {
					t.Fatalf("%v, %v", got, err)
				}
				client.Del(t.Context(), key)
			}
			raw := r.raw(t)
			raw.say(t, "SET "+three+" 1", "SET "+one+" 1", "RESET", "GET "+three, "GET "+one)
			raw.hear(t, "+OK\n+OK\n+RESET\n$1\n1\n$1\n1\n")
		},
		"scripts": func(t *testing.T, r *real) {
			client := r.client(t)
			script := goredis.NewScript("return redis.call('GET', KEYS[1])")
			for _, key := range []string{one, three} {
				client.Set(t.Context(), key, key, 0)
				if got, err := script.Run(t.Context(), client, []string{key}).Text(); err != nil || got != key {
					t.Fatalf("%q, %v", got, err)
				}
			}
		},
		"subscriptions": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "GET "+three, "SUBSCRIBE news")
			raw.line(t)
			for range 5 {
				if raw.line(t) == "$4" {
					break
				}
			}
			c.Nodes[0].Do(t, "PUBLISH", "news", "hello")
			for line := ""; line != "hello"; {
				line = raw.line(t)
			}
		},
	} {
		// One after the other: they share keys.
		t.Run(name, func(t *testing.T) { test(t, behindCluster(t, c)) })
	}
	t.Run("redis-cli", func(t *testing.T) {
		r := behindCluster(t, c)
		if out := r.cli(t, "SET "+one+" 1\nSET "+two+" 2\nSET "+three+" 3\nGET "+one+"\nGET "+two+"\n"); out != "OK\nOK\nOK\n1\n2\n" {
			t.Errorf("redis-cli printed %s", out)
		}
	})
}

// TestSlotsThatMove moves a slot, while the agent has another map of the cluster.
func TestSlotsThatMove(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 2, redisserver.Options{})
	key := "{" + c.KeyOn(t, 0, "moving") + "}"
	slot := strconv.Itoa(c.Slot(t, key))
	from, to := c.Nodes[0], c.Nodes[1]
	ids := []string{from.Do(t, "CLUSTER", "MYID"), to.Do(t, "CLUSTER", "MYID")}
	r := behindCluster(t, c)
	raw := r.raw(t)
	raw.say(t, "SET "+key+" before", "GET "+key)
	raw.hear(t, "+OK\n$6\nbefore\n")

	// ASK: keys that are not there any more are asked for at the other node.
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
	raw.say(t, "GET "+key, "SET "+key+"new asked", "GET "+key+"new", "GET "+key)
	raw.hear(t, "$6\nbefore\n+OK\n$5\nasked\n$6\nbefore\n")
	if got := to.Do(t, "CLUSTER", "COUNTKEYSINSLOT", slot); got != "1" {
		t.Errorf("%s keys are with the other node", got)
	}

	// MOVED
	from.Do(t, "DEL", key)
	for _, node := range []*redisserver.Server{to, from} {
		node.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])
	}
	m := from.Monitor(t)
	raw.say(t, "SET "+key+" moved", "GET "+key, "GET "+key+"new", "GET "+key)
	raw.hear(t, "+OK\n$5\nmoved\n$5\nasked\n$5\nmoved\n")
	if lines := m.Lines(); slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, key) }) {
		t.Errorf("the first node executed %q", lines)
	}
	for _, outcome := range outcomes(closed(t, r, raw)) {
		if !strings.HasSuffix(outcome, " → ok") {
			t.Error(outcome)
		}
	}
}

func TestOneServerThatIsCalledACluster(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Database.Spec.URI = "rediss://" + s.Addr + "?mode=cluster" })
	if out := r.cli(t, "PING\n"); !strings.Contains(out, "the uri of the database says mode=cluster, and it is none") {
		t.Errorf("redis-cli printed %s", out)
	}
}

func TestAccountOfACluster(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 2, redisserver.Options{Users: []string{"app on >secret ~* +@all -cluster"}})
	r := behindCluster(t, c, func(cfg *enginetest.Config) {
		cfg.Identity.Route.User = "app"
		cert := c.Nodes[0].ClientCertificate(t, "app")
		cfg.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: cert}, nil
		})
	})
	client := r.client(t, func(o *goredis.Options) { o.Username, o.Password = "app", "secret" })
	key := c.KeyOn(t, 1, "k")
	if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	client.Set(t.Context(), "x", "v", 0)
	m := c.Nodes[1].Monitor(t)
	if who, err := client.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{key}).Text(); err != nil || who != "v" {
		t.Fatalf("%q, %v", who, err)
	}
	m.Wait(t, key)
	if got := c.Nodes[1].Do(t, "CLIENT", "LIST"); !strings.Contains(got, "user=app") || strings.Contains(got, "user=default") {
		t.Errorf("the other node has\n%s", got)
	}
}
