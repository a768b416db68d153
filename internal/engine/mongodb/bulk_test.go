package mongodb_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
)

// TestLargeMessages has messages of tens of megabytes in both directions, byte for byte.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	value := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	agent, server := small(t, mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
		if m.Name() == "find" {
			c.Reply(m, d(e("cursor", d(e("firstBatch", bson.A{d(e("v", value))}), e("id", int64(0)))), e("ok", 1.0)))
		}
		return m.Name() == "find"
	}})
	c := logIn(t, agent)
	sent := message(t, 70, 0, in("orders", e("insert", "c")), sequence(t, "documents", d(e("v", value)), d(e("v", value)), d(e("v", value))))
	if _, err := c.exchange(patience(t), sent); err != nil {
		t.Fatal(err)
	}
	if seen := server.Seen(); len(seen) != 1 || !bytes.Equal(seen[0].Raw, sent) {
		t.Error("the server has seen another message")
	}
	found, err := c.run(patience(t), in("orders", e("find", "c")))
	if err != nil {
		t.Fatal(err)
	}
	if _, got := found.Lookup("cursor", "firstBatch", "0", "v").Binary(); !bytes.Equal(got, value) {
		t.Error("the client has got another value")
	}
	v := leave(t, agent, c)
	if text := v.Journal.Events("db.session.query")[0].Text("db_query"); len(text) < 3*size {
		t.Errorf("%d bytes are recorded", len(text))
	}
}

// TestSlowReader has a client that stops reading: the answers wait at the server, of which we hold a buffer or two, and all
// of them come when the client goes on.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := enginetest.OpenSession(t, "mongodb", "orders")
		client, clientEnd := net.Pipe()
		server, serverEnd := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- newEngine().Relay(t.Context(), clientEnd, serverEnd, s) }()
		const answers, piece = 50, 4 << 10
		body := marshal(t, d(e("v", make([]byte, 1<<20)), e("ok", 1.0)))
		size := len(mongowire.AppendMsg(nil, 0, 0, 0, body))
		var sent atomic.Int64
		go func() {
			_, _ = mongotest.Read(server)
			for to := range int32(answers) {
				flags := uint32(mongowire.MoreToCome)
				if to == answers-1 {
					flags = 0
				}
				for rest := range slices.Chunk(mongowire.AppendMsg(nil, to+1, to, flags, body), piece) {
					n, _ := server.Write(rest)
					sent.Add(int64(n))
				}
			}
		}()
		if _, err := client.Write(message(t, 0, mongowire.ExhaustAllowed, in("orders", e("getMore", int64(7)), e("collection", "c")))); err != nil {
			t.Fatal(err)
		}
		read := func(n int) {
			if _, err := io.CopyN(io.Discard, client, int64(n)); err != nil {
				t.Fatal(err)
			}
		}
		read(size)
		synctest.Wait() // until all wait for each other
		if held := sent.Load() - int64(size); held > 2*inbox.Large {
			t.Errorf("of what the client does not read, %d KiB are held", held>>10)
		}
		read((answers - 1) * size)
		_ = client.Close()
		if err := <-ended; err != nil {
			t.Errorf("the session ended with %v", err)
		}
	})
}

// TestTextsAreNotManyTimesTheirMessages has commands whose text would fill the memory: they are refused with a short record,
// whatever else is wrong with them, and the session goes on.
func TestTextsAreNotManyTimesTheirMessages(t *testing.T) {
	t.Parallel()
	dense := make(bson.D, 100_000)
	for i := range dense {
		dense[i] = e("", bson.Regex{})
	}
	dates := make(bson.D, 100_000)
	for i := range dates {
		dates[i] = e("a", bson.DateTime(i))
	}
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) { c.Roles = []string{ordersOnly} })
	c := logIn(t, agent)
	for name, command := range map[string]bson.D{
		"a command":                 in("orders", e("insert", "c"), e("documents", bson.A{dense})),
		"one for another database":  in("other", e("insert", "c"), e("documents", bson.A{dense})),
		"one that nobody knows":     in("orders", e("teleport", dense)),
		"a login":                   in("$external", e("saslStart", dense)),
		"one with very many fields": append(in("orders", e("insert", "c")), dense...),
	} {
		if _, err := c.run(patience(t), command); err == nil {
			t.Errorf("%s is passed on", name)
		}
	}
	if _, err := c.run(patience(t), in("orders", e("insert", "c"), e("documents", bson.A{dates}))); err != nil {
		t.Errorf("many dates: %v", err)
	}
	if names := server.Names(); len(names) != 1 {
		t.Errorf("the server has seen %v", names)
	}
	refused := 0
	for _, line := range agent.Visit(t, 0).Journal.Lines() {
		if !bytes.Contains(line, []byte("db.session.query.failed")) {
			continue
		}
		if refused++; len(line) > 8<<10 {
			t.Errorf("an event of %d bytes: %s", len(line), line[:200])
		}
	}
	if refused != 5 {
		t.Errorf("%d refusals are recorded", refused)
	}
}

// TestIdleSessionsHoldNoLargeMessage has a session that is idle after a large message. It runs alone: the heap is the whole
// process's.
func TestIdleSessionsHoldNoLargeMessage(t *testing.T) {
	agent, _ := small(t, mongotest.Options{Any: func(c *mongotest.Conn, m mongotest.Message) bool {
		if m.Name() == "insert" {
			c.Reply(m, d(e("ok", 1))) // without keeping it
		}
		return m.Name() == "insert"
	}})
	c := logIn(t, agent)
	agent.Visit(t, 0).Journal.Forget()
	value := make([]byte, 8<<20)
	sent := message(t, 70, 0, in("orders", e("insert", "c")), sequence(t, "documents", d(e("v", value)), d(e("v", value)), d(e("v", value))))
	before := enginetest.LiveHeap()
	if _, err := c.exchange(patience(t), sent); err != nil {
		t.Fatal(err)
	}
	enginetest.AwaitHeap(t, before+8<<20) // the answer may be here before the session is idle
	runtime.KeepAlive(sent)
	leave(t, agent, c)
}

// TestPools has many connections at once, as a pool of a driver or a graphical client opens them.
func TestPools(t *testing.T) {
	t.Parallel()
	agent := front(t)
	client := connect(t, agent.Addr())
	c := client.Database("orders").Collection("items")
	if _, err := c.InsertOne(patience(t), d(e("_id", 1), e("n", 0))); err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	failures := make(chan error, 20)
	for range 20 {
		working.Go(func() {
			for range 10 {
				ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
				err := c.FindOne(ctx, d(e("_id", 1))).Err()
				cancel()
				if err != nil {
					failures <- err
					return
				}
			}
		})
	}
	working.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if err := client.Disconnect(patience(t)); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, v := range agent.Visits() {
		if err := v.Wait(t); err != nil {
			t.Error(err)
		}
		found += len(outcomes(t, v)["find"])
	}
	if found != 200 {
		t.Errorf("%d finds are recorded", found)
	}
}
