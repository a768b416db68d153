package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/redistest"
)

// rogueCluster are two nodes, the first of which is the seed, that say what they are told to beside the login.
type rogueCluster struct {
	nodes [2]*redistest.Server

	mu  sync.Mutex
	got [2][]string // commands that each node got; guarded by mu
}

// startRogueCluster starts an agent before two nodes.
func startRogueCluster(t *testing.T, answer func(c *rogueCluster, node int, args []string) string) (*rogueCluster, *raw) {
	t.Helper()
	c := &rogueCluster{}
	var authorities []byte
	for i := range c.nodes {
		c.nodes[i] = redistest.Start(t, func(args []string) []byte {
			c.mu.Lock()
			c.got[i] = append(c.got[i], strings.Join(args, " "))
			c.mu.Unlock()
			said := answer(c, i, args)
			switch {
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
	r := &real{agent: enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", "rediss://"+c.nodes[0].Addr+"?mode=cluster", authorities),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Password: "secret"}, nil
		}),
	})}
	return c, r.raw(t)
}

// said returns what a node got.
func (c *rogueCluster) said(node int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got[node])
}

// moved has the key "b", of slot 3300, be at the second node.
func moved(c *rogueCluster, node int, args []string) string {
	if node == 0 && args[0] == "GET" {
		return "-MOVED 3300 " + c.nodes[1].Addr + "\n"
	}
	return ""
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
		return fmt.Sprintf("-%s 1 %s\n", kind, to.Addr)
	})
	for _, key := range []string{"itself", "round", "ask"} {
		raw.say(t, "GET "+key, "PING")
		if line := raw.line(t); !strings.HasPrefix(line, "-MOVED 1 ") && !strings.HasPrefix(line, "-ASK 1 ") {
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
