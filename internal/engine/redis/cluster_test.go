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
	"sallyport/internal/engine/redis"
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
			for _, command := range []string{
				"SCAN 0", "RANDOMKEY", "WAIT 1 10", "PUBSUB NUMSUB a", "MEMORY STATS", "CLUSTER COUNTKEYSINSLOT 1", "SCRIPT KILL", "FUNCTION STATS",
				"CLIENT TRACKING ON", "CONFIG SET hz 10", "CLIENT LIST", "ASKING", "SWAPDB 0 1", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES",
			} {
				raw.say(t, command)
				words := strings.Fields(command)
				if line := raw.line(t); !strings.HasPrefix(line, "-ERR "+words[0]) || !strings.Contains(line, "this database is a cluster") {
					t.Errorf("%s: %s", command, line)
				}
			}
			raw.say(t, "PING")
			raw.hear(t, "+PONG\n")
		},
		"a client in cluster mode": func(t *testing.T, r *real) {
			client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{r.agent.Addr()}, MaxRedirects: -1})
			defer client.Close()
			if err := client.Set(t.Context(), one, "1", 0).Err(); err == nil || !strings.Contains(err.Error(), "connect without that mode") {
				t.Errorf("it is told %v", err)
			}
		},
		"functions": func(t *testing.T, r *real) {
			client := r.client(t)
			const library = "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('GET', keys[1]) end)"
			for range 2 {
				if name, err := client.FunctionLoadReplace(t.Context(), library).Result(); err != nil || name != "lib" {
					t.Fatalf("FUNCTION LOAD: %q, %v", name, err)
				}
			}
			for _, key := range []string{one, two, three} {
				client.Set(t.Context(), key, key, 0)
				if got, err := client.FCall(t.Context(), "f", []string{key}).Text(); err != nil || got != key {
					t.Errorf("FCALL with %s: %q, %v", key, got, err)
				}
			}
			// One node has it already: which one is told, and the record has it once.
			if err := client.FunctionDelete(t.Context(), "lib").Err(); err != nil {
				t.Fatal(err)
			}
			if got := c.Nodes[1].Do(t, "FUNCTION", "LOAD", library); got != "lib" {
				t.Fatal(got)
			}
			err := client.FunctionLoad(t.Context(), library).Err()
			want := "ERR Library 'lib' already exists: said by the node at " + c.Nodes[1].Addr + "; 1 of 3 nodes of the cluster have executed the command"
			if err == nil || err.Error() != want {
				t.Errorf("heard %v, want %s", err, want)
			}
			if err := client.FunctionFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			for i, node := range c.Nodes {
				if got := node.Do(t, "FUNCTION", "LIST"); got != "" {
					t.Errorf("node %d has %s", i, got)
				}
			}
			_ = client.Close()
			v := r.agent.Visit(t, 0)
			_ = v.Wait(t)
			var loads []string
			for _, outcome := range outcomes(v) {
				if strings.HasPrefix(outcome, "function") && !strings.Contains(outcome, "fcall") {
					loads = append(loads, strings.Fields(outcome)[1]+outcome[strings.LastIndex(outcome, " → "):])
				}
			}
			if want := []string{"load → ok", "load → ok", "delete → ok", "load → " + want, "flush → ok"}; !slices.Equal(loads, want) {
				t.Errorf("recorded %q, want %q", loads, want)
			}
		},
		"scripts on every node": func(t *testing.T, r *real) {
			client := r.client(t)
			const text = "return redis.call('SET', KEYS[1], 'by a script')"
			name, err := client.ScriptLoad(t.Context(), text).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{one, two, three} {
				if err := client.EvalSha(t.Context(), name, []string{key}).Err(); err != nil {
					t.Errorf("EVALSHA with %s: %v", key, err)
				}
			}
			exist := func() string {
				return fmt.Sprint(client.ScriptExists(t.Context(), name, strings.Repeat("0", 40)).Result())
			}
			if got := exist(); got != "[true false] <nil>" {
				t.Errorf("SCRIPT EXISTS: %s", got)
			}
			c.Nodes[2].Do(t, "SCRIPT", "FLUSH")
			if got := exist(); got != "[false false] <nil>" {
				t.Errorf("SCRIPT EXISTS, where one node has it not: %s", got)
			}
			if err := client.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			for i, node := range c.Nodes {
				if got := node.Do(t, "SCRIPT", "EXISTS", name); got != "0" {
					t.Errorf("node %d has the script still", i)
				}
			}
		},
		"keys of all nodes": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "FLUSHALL", "SET "+one+" 1", "SET "+two+" 2", "DBSIZE", "SET "+three+" 3", "DBSIZE", "KEYS [ab]*", "KEYS none", "FLUSHDB SYNC", "DBSIZE")
			raw.hear(t, fmt.Sprintf("+OK\n+OK\n+OK\n:2\n+OK\n:3\n*2\n$%d\n%s\n$%d\n%s\n*0\n+OK\n:0\n", len(one), one, len(two), two))
			raw.say(t, "MULTI", "SET "+one+" 1", "FLUSHALL", "EXEC", "DBSIZE x")
			raw.hear(t, "+OK\n+QUEUED\n-ERR FLUSHALL is for all nodes of the cluster, and is not passed on within MULTI\n-EXECABORT Transaction discarded because of previous errors.\n")
			failure := "ERR wrong number of arguments for 'dbsize' command: said by the node at " + c.Nodes[0].Addr + "; 0 of 3 nodes of the cluster have executed the command"
			raw.hear(t, "-"+failure+"\n")
			wantOutcomes(t, r, raw, "FLUSHALL → ok", "SET "+one+" 1 → ok", "SET "+two+" 2 → ok", "DBSIZE → ok", "SET "+three+" 3 → ok", "DBSIZE → ok", "KEYS [ab]* → ok",
				"KEYS none → ok", "FLUSHDB SYNC → ok", "DBSIZE → ok", "MULTI → ok", "SET "+one+" 1 → not executed, because the transaction was discarded",
				"FLUSHALL → refused: FLUSHALL is for all nodes of the cluster, and is not passed on within MULTI", "EXEC → refused: Transaction discarded because of previous errors.",
				"DBSIZE x → "+failure)
		},
		"what is about the connection": func(t *testing.T, r *real) {
			raw := r.raw(t)
			raw.say(t, "GET "+two, "CLIENT SETNAME me", "GET "+three, "CLIENT GETNAME", "GET "+one, "CLIENT GETNAME")
			raw.hear(t, "$-1\n+OK\n$-1\n$2\nme\n$-1\n$2\nme\n")
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
			raw.say(t, "GET "+one, "MULTI", "ECHO x", "GET "+two, "EXEC", "MULTI", "GET "+two, "ECHO x", "EXEC")
			raw.hear(t, "$1\n1\n+OK\n+QUEUED\n-CROSSSLOT The first command of a transaction chooses the node of the cluster, and had no key: put one with a key before it\n"+
				"-EXECABORT Transaction discarded because of previous errors.\n+OK\n+QUEUED\n+QUEUED\n*2\n$1\nz\n$1\nx\n")
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
		t.Run(name, func(t *testing.T) {
			test(t, behindCluster(t, c, func(cfg *enginetest.Config) { cfg.Roles = []string{everything} }))
			for _, node := range c.Nodes {
				node.Do(t, "FLUSHALL")
			}
		})
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

func TestEachCommandHasARuleForClusters(t *testing.T) {
	t.Parallel()
	if undecided, unknown := redis.ClusterRules(); len(undecided)+len(unknown) > 0 {
		t.Errorf("no rule for %q, and rules for %q, which do not exist", undecided, unknown)
	}
}

// An account that may not ask for the nodes is told so, and nothing is executed on one of them only.
func TestAllNodesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 2, redisserver.Options{Users: []string{"app on nopass ~* +@all -cluster"}})
	r := behindCluster(t, c, func(cfg *enginetest.Config) {
		cfg.Identity.Route.User = "app"
		cert := c.Nodes[0].ClientCertificate(t, "app")
		cfg.Credentials = enginetest.Given(cred.Credential{Certificate: cert})
	})
	raw, key := r.raw(t), c.KeyOn(t, 0, "k")
	raw.say(t, "SET "+key+" v", "FLUSHALL", "GET "+key)
	raw.hear(t, "+OK\n")
	if line := raw.line(t); !strings.HasPrefix(line, "-ERR the command is for all nodes of the cluster, and which these are is not known") {
		t.Errorf("heard %s", line)
	}
	raw.hear(t, "$1\nv\n")
}

func TestAccountOfACluster(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 2, redisserver.Options{Users: []string{"app on >secret ~* +@all -cluster"}})
	r := behindCluster(t, c, func(cfg *enginetest.Config) {
		cfg.Identity.Route.User = "app"
		cert := c.Nodes[0].ClientCertificate(t, "app")
		cfg.Credentials = enginetest.Given(cred.Credential{Certificate: cert})
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
