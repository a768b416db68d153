package redis_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
)

// rogueCluster are two nodes, the first of which is the seed, that say what they are told to beside the login.
type rogueCluster struct {
	nodes [2]*redistest.Server

	mu  sync.Mutex
	got [2][]string // commands that each node got; guarded by mu
}

// nothing has a node read on without an answer.
const nothing = "nothing"

// startRogueCluster starts an agent before two nodes.
func startRogueCluster(t *testing.T, answer func(c *rogueCluster, node int, args []string) string, change ...func(*enginetest.Config)) (*rogueCluster, *raw) {
	t.Helper()
	c := &rogueCluster{}
	var authorities []byte
	for i := range c.nodes {
		c.nodes[i] = redistest.Start(t, func(args []string) []byte {
			if args[0] == "CLIENT" {
				return resp.AppendInteger(nil, 7)
			}
			c.mu.Lock()
			c.got[i] = append(c.got[i], strings.Join(args, " "))
			c.mu.Unlock()
			said := answer(c, i, args)
			switch {
			case said == nothing:
				return []byte{}
			case said != "":
			case args[0] == "CLUSTER":
				said = "-NOPERM no\n" // so that the agent learns from redirections
			case args[0] == "HELLO":
				said = "%1\n+proto\n:3\n"
			default:
				said = "+OK\n"
			}
			return []byte(lines(said))
		})
		authorities = append(authorities, c.nodes[i].Authority.CertPEM()...)
	}
	cfg := enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", "rediss://"+c.nodes[0].Addr+"?mode=cluster", authorities),
		Credentials: enginetest.Given(cred.Credential{Password: "secret"}),
	}
	for _, change := range change {
		change(&cfg)
	}
	r := &real{agent: enginetest.Start(t, cfg)}
	return c, r.raw(t)
}

// said returns what a node got.
func (c *rogueCluster) said(node int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got[node])
}

// halves is an answer to CLUSTER SLOTS: each node has one half.
func (c *rogueCluster) halves() string {
	host, first, _ := strings.Cut(c.nodes[0].Addr, ":")
	_, second, _ := strings.Cut(c.nodes[1].Addr, ":")
	return fmt.Sprintf("*2\n*3\n:0\n:8191\n*2\n$%[1]d\n%[2]s\n:%[3]s\n*3\n:8192\n:16383\n*2\n$%[1]d\n%[2]s\n:%[4]s\n", len(host), host, first, second)
}

// moved has the key "b", of slot 3300, be at the second node.
func moved(c *rogueCluster, node int, args []string) string {
	if node == 0 && args[0] == "GET" {
		return "-MOVED 3300 " + c.nodes[1].Addr + "\n"
	}
	return ""
}

// A large command that may have to be sent again keeps its room until it is answered, as long as nobody waits in vain.
func TestLargeCommandsKeepTheirRoomUntilTheyAreAnswered(t *testing.T) {
	t.Parallel()
	e := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 30 << 20, LargeWait: 10 * time.Second})
	shared := func(cfg *enginetest.Config) { cfg.Engine = e }
	answer := func(_ *rogueCluster, _ int, args []string) string {
		if args[0] == "BLPOP" || args[0] == "SET" && args[1] == "held" {
			return nothing
		}
		return ""
	}
	value := strings.Repeat("x", 4<<20)
	nodes, first := startRogueCluster(t, answer, shared)
	_, other := startRogueCluster(t, answer, shared)
	first.say(t, "BLPOP held 0", "SET held "+value)
	awaitSaid(t, nodes, "SET held ", 1)
	other.waits(t, "SET k "+value)
	first.hear(t, "-ERR a large message went on by less than 1 MiB in 10s, and others need the memory that it has in the agent; try again when the database is less busy\n")
	other.hear(t, "+OK\n")
}

// Commands that may have to be sent again are copied, and no more are read while those are many bytes. Stacks are looked at, so that no
// other test runs beside it.
func TestFewCommandsAreKeptToBeSentAgain(t *testing.T) {
	nodes, c := startRogueCluster(t, func(_ *rogueCluster, _ int, args []string) string {
		if args[0] == "SET" {
			return nothing
		}
		return ""
	})
	for range 5 {
		c.say(t, "SET k "+strings.Repeat("x", 400<<10))
	}
	awaitStack(t, "(*relay).awaitRoom", "sync.(*Cond).Wait")
	awaitSaid(t, nodes, "SET k ", 3)
}

// awaitSaid waits until the nodes have got so many commands that begin so.
func awaitSaid(t *testing.T, nodes *rogueCluster, prefix string, want int) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); ; runtime.Gosched() {
		got := 0
		for _, command := range append(nodes.said(0), nodes.said(1)...) {
			if strings.HasPrefix(command, prefix) {
				got++
			}
		}
		if got == want {
			return
		}
		if got > want || time.Now().After(deadline) {
			t.Fatalf("the nodes got %s %d times, not %d", prefix, got, want)
		}
	}
}

// A redirection goes on to another node once, and not round and round.
func TestRedirectionsWithoutEnd(t *testing.T) {
	t.Parallel()
	_, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		kind, to := "MOVED", c.nodes[1-node]
		if args[0] != "GET" {
			return ""
		}
		switch args[1] {
		case "itself":
			to = c.nodes[node]
		case "ask":
			kind = "ASK"
		}
		return fmt.Sprintf("-%s %d %s\n", kind, redis.SlotOf(args[1]), to.Addr)
	})
	for _, key := range []string{"itself", "round", "ask"} {
		raw.say(t, "GET "+key, "PING")
		if line, slot := raw.line(t), fmt.Sprint(redis.SlotOf(key)); !strings.HasPrefix(line, "-MOVED "+slot+" ") && !strings.HasPrefix(line, "-ASK "+slot+" ") {
			t.Errorf("heard %s", line)
		}
		raw.hear(t, "+OK\n")
	}
}

func TestWhatNodesAreTold(t *testing.T) {
	t.Parallel()
	c, raw := startRogueCluster(t, moved)
	for range 2 {
		raw.say(t, "GET b")
		raw.hear(t, "+OK\n")
	}
	raw.say(t, "HELLO 3")
	raw.hear(t, "%1\n+proto\n:3\n")
	raw.say(t, "RESET", "GET b")
	raw.hear(t, "+OK\n+OK\n")
	if got, want := c.said(0), []string{"AUTH default secret", "CLUSTER SLOTS", "GET b", "HELLO 3", "RESET", "AUTH default secret"}; !slices.Equal(got, want) {
		t.Errorf("the first node got %q", got)
	}
	if got, want := c.said(1), []string{"AUTH default secret", "GET b", "GET b", "HELLO 3", "RESET", "AUTH default secret", "GET b"}; !slices.Equal(got, want) {
		t.Errorf("the second node got %q", got)
	}
}

func TestNodesThatAreReachedLaterSpeakTheSame(t *testing.T) {
	t.Parallel()
	c, raw := startRogueCluster(t, moved)
	raw.say(t, "HELLO 3")
	raw.hear(t, "%1\n+proto\n:3\n")
	raw.say(t, "GET b")
	raw.hear(t, "+OK\n")
	if got, want := c.said(1), []string{"AUTH default secret", "HELLO 3", "GET b"}; !slices.Equal(got, want) {
		t.Errorf("the second node got %q", got)
	}
}

// A node that the cluster has named in a redirection is a node for scripts too.
func TestScriptsAreLedToNodesThatWereNamed(t *testing.T) {
	t.Parallel()
	c, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		if node == 0 && (args[0] == "GET" || args[0] == "EVAL") {
			return "-ASK 3300 " + c.nodes[1].Addr + "\n"
		}
		return ""
	})
	raw.say(t, "EVAL script 1 b")
	raw.hear(t, "-ASK 3300 "+c.nodes[1].Addr+"\n")
	raw.say(t, "GET b", "EVAL script 1 b")
	raw.hear(t, "+OK\n+OK\n")
	if got, want := c.said(1), []string{"AUTH default secret", "ASKING", "GET b", "ASKING", "EVAL script 1 b"}; !slices.Equal(got, want) {
		t.Errorf("the second node got %q", got)
	}
}

func TestNodesThatDoNotLetTheAccountIn(t *testing.T) {
	t.Parallel()
	c, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		if node == 1 && args[0] == "AUTH" {
			return "-WRONGPASS not here\n"
		}
		return moved(c, node, args)
	})
	raw.say(t, "GET b")
	if line := raw.line(t); !strings.HasPrefix(line, "-WRONGPASS not here") {
		t.Errorf("heard %s", line)
	}
	if got := c.said(1); !slices.Equal(got, []string{"AUTH default secret"}) {
		t.Errorf("the second node got %q", got)
	}
}

// Messages of a subscription in version 2 of the protocol come in arrays. One that arrives from one node while another is asked
// something is for the client.
func TestMessagesAreNoAnswersToUs(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	defer close(heard)
	c, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		switch args[0] {
		case "SUBSCRIBE":
			return "*3\n$9\nsubscribe\n$1\nn\n:1\n"
		case "MULTI":
			c.nodes[0].Say(t, []byte(lines("*3\n$7\nmessage\n$1\nn\n$2\nhi\n")))
			<-heard
		case "SET":
			return "+QUEUED\n"
		case "EXEC":
			return "*1\n+OK\n"
		}
		return moved(c, node, args)
	})
	raw.say(t, "SUBSCRIBE n", "GET b", "MULTI", "SET b v", "EXEC")
	raw.hear(t, "*3\n$9\nsubscribe\n$1\nn\n:1\n+OK\n+OK\n*3\n$7\nmessage\n$1\nn\n$2\nhi\n")
	heard <- struct{}{}
	raw.hear(t, "+QUEUED\n*1\n+OK\n")
	if got := c.said(1); !slices.Contains(got, "MULTI") || !slices.Contains(got, "EXEC") {
		t.Errorf("the second node got %q", got)
	}
}

// Answers of all nodes become one reply only if they go together and are not too large.
func TestAnswersOfAllNodes(t *testing.T) {
	t.Parallel()
	value := func(size int) string { return fmt.Sprintf("*1\n$%d\n%s\n", size, strings.Repeat("k", size)) }
	said := map[string][2]string{
		"DBSIZE":         {":1\n", ":2\n"},
		"DBSIZE a":       {":1\n", "+one\n"},
		"FLUSHALL":       {"+OK\n", "+LATER\n"},
		"FLUSHDB":        {"+OK\n", "!10\nERR no way\n"},
		"SCRIPT EXISTS ": {"*1\n:1\n", "*2\n:1\n:0\n"},
		"KEYS a":         {"*1\n$1\na\n", "*-1\n"},
		"KEYS large":     {value(1 << 20), value(1 << 20)},
		"KEYS larger":    {value(3 << 20), value(3 << 20)},
		"KEYS largest":   {value(5 << 20), value(1)},
	}
	_, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		if args[0] == "CLUSTER" {
			return c.halves()
		}
		return said[strings.Join(args, " ")][node]
	})
	const unlike = "-ERR the nodes of the cluster have executed the command and do not answer alike\n"
	const large = "-ERR the answers of the nodes of the cluster have more than 4194304 bytes together; ask for less\n"
	raw.say(t, "DBSIZE", "DBSIZE a", "FLUSHALL", "SCRIPT EXISTS a", "KEYS a", "KEYS larger", "KEYS largest")
	raw.hear(t, ":3\n"+unlike+unlike+unlike+unlike+large+large)
	raw.say(t, "FLUSHDB")
	if line := raw.line(t); !strings.HasPrefix(line, "-ERR no way: said by the node at 127.0.0.1:") || !strings.HasSuffix(line, "; 1 of 2 nodes of the cluster have executed the command") {
		t.Error(line)
	}
	raw.say(t, "KEYS large")
	raw.hear(t, "*2\n"+strings.Repeat(value(1 << 20)[3:], 2))
}

// What one node says while another is asked something is no answer.
func TestAnswersOfAnotherNode(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	defer close(heard)
	_, raw := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		if args[0] == "MULTI" {
			c.nodes[0].Say(t, []byte(lines("+OK\n")))
			<-heard
		}
		return moved(c, node, args)
	})
	raw.say(t, "GET b", "MULTI", "SET b v")
	raw.hear(t, "+OK\n+OK\n-ERR the database sent a reply that does not belong here; the session ends, connect again\n")
}
