package redis_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/redisserver"
)

// eval sends a script for keys.
func eval(t *testing.T, c *raw, script string, keys ...string) {
	t.Helper()
	message := append([]string{"EVAL", script, strconv.Itoa(len(keys))}, keys...)
	if _, err := c.Write(resp.AppendCommand(nil, message...)); err != nil {
		t.Fatal(err)
	}
}

// TestScriptsLeadNowhere has scripts answer with redirections to addresses that the cluster has not named.
func TestScriptsLeadNowhere(t *testing.T) {
	t.Parallel()
	s := redisserver.StartCluster(t, 2, redisserver.Options{})
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		for {
			conn, err := elsewhere.Accept()
			if err != nil {
				return
			}
			t.Error("the agent has connected where a script wanted")
			_ = conn.Close()
		}
	}()
	r := behindCluster(t, s)
	c := r.raw(t)
	key := s.KeyOn(t, 0, "k")
	for name, keys := range map[string][]string{"without keys": nil, "for its key": {key}} {
		for _, kind := range []string{"MOVED", "ASK"} {
			said := fmt.Sprintf("%s %d %s", kind, s.Slot(t, key), elsewhere.Addr())
			eval(t, c, "return redis.error_reply('"+said+"')", keys...)
			if got := c.line(t); !strings.HasPrefix(got, "-"+said) {
				t.Errorf("%s: heard %s", name, got)
			}
			// What follows goes where it belongs.
			c.say(t, "SET "+key+" "+kind)
			c.hear(t, "+OK\n")
		}
	}
	for _, outcome := range outcomes(closed(t, r, c)) {
		if strings.HasPrefix(outcome, "EVAL") != strings.Contains(outcome, elsewhere.Addr().String()) {
			t.Error(outcome)
		}
	}
	_ = elsewhere.Close()
	<-arrived
}

// TestScriptsFindTheirNodes has scripts be the first commands of an account that may not ask for the nodes.
func TestScriptsFindTheirNodes(t *testing.T) {
	t.Parallel()
	s := redisserver.StartCluster(t, 2, redisserver.Options{Users: []string{"app on nopass ~* +@all -cluster"}})
	c := behindCluster(t, s, func(cfg *enginetest.Config) {
		cfg.Identity.Route.User = "app"
		cfg.Credentials = enginetest.Given(cred.Credential{Certificate: s.Nodes[0].ClientCertificate(t, "app")})
	}).raw(t)
	for node := range 2 {
		for _, prefix := range []string{"a", "b"} {
			eval(t, c, "return redis.call('SET', KEYS[1], 'v')", s.KeyOn(t, node, prefix))
			c.hear(t, "+OK\n")
		}
	}
	// What cannot be done at a node is no reason to ask another.
	eval(t, c, "return redis.call('GET', KEYS[1])", strings.Repeat("long", 1<<10)+"{"+s.KeyOn(t, 1, "a")+"}")
	c.hear(t, "$-1\n")
}

// TestScriptsFollowSlots moves the slot of a script to another node.
func TestScriptsFollowSlots(t *testing.T) {
	t.Parallel()
	s := redisserver.StartCluster(t, 3, redisserver.Options{})
	c := behindCluster(t, s).raw(t)
	key := s.KeyOn(t, 0, "k")
	slot := strconv.Itoa(s.Slot(t, key))
	eval(t, c, "return redis.call('SET', KEYS[1], 'v')", key)
	c.hear(t, "+OK\n")
	id := s.Nodes[2].Do(t, "CLUSTER", "MYID")
	s.Nodes[0].Do(t, "DEL", key)
	for _, node := range []int{2, 0, 1} {
		s.Nodes[node].Do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
	}
	eval(t, c, "return redis.call('SET', KEYS[1], 'v')", key)
	c.hear(t, "+OK\n")
	if got := s.Nodes[2].Do(t, "GET", key); got != "v" {
		t.Errorf("the other node has %q", got)
	}
}
