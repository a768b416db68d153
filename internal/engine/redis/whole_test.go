package redis_test

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
)

// numbers is a reply of so many bytes, and a few, of which each element is as small as can be.
func numbers(size int) string { return fmt.Sprintf("*%d\n%s", size/4, strings.Repeat(":1\n", size/4)) }

// answersTo has both nodes answer a command alike.
func answersTo(command, said string) func(*rogueCluster, int, []string) string {
	return func(c *rogueCluster, node int, args []string) string {
		switch args[0] {
		case "CLUSTER":
			return c.halves()
		case command:
			return said
		}
		return ""
	}
}

// Joining replies costs little more than their bytes, however many elements those have. What is allocated is measured, so that no
// other test runs beside it.
func TestJoinedRepliesAreNotDecoded(t *testing.T) {
	const size = 2<<20 - 100
	_, c := startRogueCluster(t, answersTo("KEYS", numbers(size)))
	c.say(t, "GET a")
	c.hear(t, "+OK\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.say(t, "KEYS *")
	c.hear(t, fmt.Sprintf("*%d\n", size/4*2))
	if _, err := io.CopyN(io.Discard, c.r, size*2); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	c.say(t, "PING")
	c.hear(t, "+OK\n")
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16*size { // most of it is what the servers do
		t.Errorf("%d bytes were allocated for a reply of %d", allocated, 2*size)
	}
}

// What is kept of replies takes room out of the budget, and gives it back when the client has its answer.
func TestJoinedRepliesWaitForRoom(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	e := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2 << 20, LargeWait: time.Second})
	shared := func(cfg *enginetest.Config) { cfg.Engine = e }
	arrived, release := make(chan struct{}, 1), make(chan struct{}, 1)
	defer close(release)
	plain := answersTo("KEYS", numbers(size))
	_, first := startRogueCluster(t, func(c *rogueCluster, node int, args []string) string {
		if node == 1 && args[0] == "KEYS" {
			arrived <- struct{}{} // the reply of the other node is kept
			<-release
		}
		return plain(c, node, args)
	}, shared)
	_, other := startRogueCluster(t, plain, shared)
	whole := func(c *raw) {
		t.Helper()
		c.hear(t, fmt.Sprintf("*%d\n", size/4*2))
		if _, err := io.CopyN(io.Discard, c.r, size*2); err != nil {
			t.Fatal(err)
		}
		c.say(t, "PING")
		c.hear(t, "+OK\n")
	}
	other.say(t, "KEYS *")
	whole(other)
	first.say(t, "KEYS *")
	<-arrived
	other.say(t, "KEYS *", "PING")
	whole(other) // it waits until the first has had its time to go on
	first.hear(t, "-ERR a large message went on by less than 1 MiB in 1s, and others need the memory that it has in the agent; try again when the database is less busy\n")
}

func TestJoinedRepliesThatFindNoRoomAreRefused(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	e := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 5 << 20, LargeWait: time.Second})
	shared := func(cfg *enginetest.Config) { cfg.Engine = e }
	plain := answersTo("KEYS", numbers(size))
	_, first := startRogueCluster(t, plain, shared)
	_, other := startRogueCluster(t, plain, shared)
	first.slow(t)
	for { // until the first one has its room
		other.say(t, "KEYS *")
		line := other.line(t)
		if strings.HasPrefix(line, "-ERR the agent is busy with other large commands; try again later, or ask for less") {
			break
		}
		if _, err := io.CopyN(io.Discard, other.r, size*2); err != nil {
			t.Fatalf("the other client heard %s, %v", line, err)
		}
	}
	other.say(t, "PING")
	other.hear(t, "+OK\n")
}

// Replies that are decoded, or are only compared, are small.
func TestOtherRepliesOfAllNodesAreSmall(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"FLUSHALL", "SCRIPT EXISTS a", "DBSIZE", "FUNCTION DELETE a"} {
		name, _, _ := strings.Cut(command, " ")
		_, c := startRogueCluster(t, answersTo(name, numbers(65<<10)))
		c.say(t, command, "PING")
		c.hear(t, "-ERR the answer of a node of the cluster has more than 65536 bytes; ask for less\n+OK\n")
	}
}
