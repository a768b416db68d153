package mongodb_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// outcomes pairs the recorded commands of a visit with their results.
func outcomes(t testing.TB, v *enginetest.Visit) map[string][]enginetest.Event {
	t.Helper()
	names, all := make(map[int64]string), make(map[string][]enginetest.Event)
	for _, event := range v.Journal.Events("db.session.query", "db.session.result") {
		if event.Type == "db.session.query" {
			var command bson.D
			if err := bson.UnmarshalExtJSON([]byte(event.Text("db_query")), false, &command); err != nil {
				t.Fatalf("%q: %v", event.Text("db_query"), err)
			}
			names[event.Number("ei")] = command[0].Key
			continue
		}
		name, ok := names[event.Number("statement_ei")]
		if !ok {
			t.Fatalf("a result of no command: %v", event.Fields)
		}
		all[name] = append(all[name], event)
	}
	return all
}

func read(t testing.TB, c *rawClient) mongotest.Message {
	t.Helper()
	deadline, _ := patience(t).Deadline()
	if err := c.conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	m, err := mongotest.Read(c.conn)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t testing.TB, c *rawClient, b []byte) {
	t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func leave(t testing.TB, agent *enginetest.Agent, c *rawClient) *enginetest.Visit {
	t.Helper()
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, len(agent.Visits())-1)
	if err := v.Wait(t); err != nil {
		t.Fatalf("the session ended with %v", err)
	}
	return v
}

// TestPipelines has commands sent ahead, some of which are refused: answers come in order, each to its own.
func TestPipelines(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	c := logIn(t, agent)
	var ahead []byte
	for i := range int32(300) {
		database := "orders"
		if i%3 == 1 {
			database = "other"
		}
		ahead = append(ahead, message(t, 1000+i, 0, in(database, e("find", fmt.Sprint("c", i))))...)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for rest := ahead; len(rest) > 0; { // in pieces that end anywhere
			n := min(997, len(rest))
			_, _ = c.conn.Write(rest[:n])
			rest = rest[n:]
		}
	})
	for i := range int32(300) {
		m := read(t, c)
		refused := failureIn(m.Body) != nil
		if m.Header.ResponseTo != 1000+i || refused != (i%3 == 1) {
			t.Fatalf("answer %d is to %d, and refused: %t", i, m.Header.ResponseTo-1000, refused)
		}
	}
	writing.Wait()
	v := leave(t, agent, c)
	if n := len(server.Seen()); n != 200 {
		t.Errorf("the server has seen %d", n)
	}
	if n := len(outcomes(t, v)["find"]); n != 200 || len(v.Journal.Events("db.session.query.failed")) != 100 {
		t.Errorf("%d results", n)
	}
}

// TestUnacknowledgedWrites have no answer, neither from the server nor from us.
func TestUnacknowledgedWrites(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	c := logIn(t, agent)
	for i, database := range []string{"orders", "other", "orders"} {
		write(t, c, message(t, int32(50+i), mongowire.MoreToCome, in(database, e("insert", "c"), e("writeConcern", d(e("w", 0)))), sequence(t, "documents", d(e("a", i)))))
	}
	if _, err := c.run(patience(t), in("orders", e("ping", 1))); err != nil {
		t.Fatal(err)
	}
	if names := server.Names(); !slices.Equal(names, []string{"insert", "insert", "ping"}) {
		t.Errorf("the server has seen %v", names)
	}
	v := leave(t, agent, c)
	if inserts := outcomes(t, v)["insert"]; len(inserts) != 2 || inserts[0].Flag("success") || !strings.Contains(inserts[0].Text("error"), "wanted no answer") {
		t.Errorf("recorded %v", inserts)
	}
	if failed := v.Journal.Events("db.session.query.failed"); len(failed) != 1 || failed[0].Text("db_name") != "other" {
		t.Errorf("refused %v", failed)
	}
}

// TestAnswersThatNobodyWants has a server that answers what is not to be answered: the client does not get it.
func TestAnswersThatNobodyWants(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
		c.Reply(m, d(e("n", m.Header.RequestID), e("filler", make([]byte, 100_000)), e("ok", 1.0)))
		return true
	}})
	c := logIn(t, agent)
	for i := range int32(40) {
		write(t, c, message(t, 100+2*i, mongowire.MoreToCome, in("orders", e("insert", "c"))))
		write(t, c, message(t, 101+2*i, 0, in("orders", e("find", "c"))))
		if m := read(t, c); m.Header.ResponseTo != 101+2*i {
			t.Fatalf("the client got an answer to %d, not to %d", m.Header.ResponseTo, 101+2*i)
		}
	}
	results := outcomes(t, leave(t, agent, c))
	if len(results["insert"]) != 40 || len(results["find"]) != 40 || results["insert"][0].Flag("success") || !results["find"][0].Flag("success") {
		t.Errorf("recorded %v", results)
	}
}

// TestNumbersAreUsedOnce has a client give two commands one number, of which the first wants no answer and fails.
func TestNumbersAreUsedOnce(t *testing.T) {
	t.Parallel()
	agent := front(t)
	c := logIn(t, agent)
	insert := in("orders", e("insert", "numbered"), e("documents", bson.A{d(e("_id", 1))}))
	if _, err := c.run(patience(t), insert); err != nil {
		t.Fatal(err)
	}
	write(t, c, message(t, 77, mongowire.MoreToCome, insert))
	write(t, c, message(t, 77, 0, in("orders", e("insert", "numbered"), e("documents", bson.A{d(e("_id", 2)), d(e("_id", 3))}))))
	if got := read(t, c).Body.String(); !strings.Contains(got, "the request has the number 77 of one that wanted no answer; give each request its own number") {
		t.Errorf("the client read %s", got)
	}
	if body, err := c.run(patience(t), in("orders", e("count", "numbered"))); err != nil || body.Lookup("n").AsInt64() != 1 {
		t.Errorf("%v, counted %s", err, body)
	}
	v := leave(t, agent, c)
	if failed := v.Journal.Events("db.session.query.failed"); len(failed) != 1 {
		t.Errorf("refused %v", failed)
	}
}

// TestExhaust has a server send several answers to one getMore.
func TestExhaust(t *testing.T) {
	t.Parallel()
	batch := func(n int, id int64) bson.D {
		docs := make(bson.A, n)
		for i := range docs {
			docs[i] = d(e("_id", i))
		}
		return d(e("cursor", d(e("nextBatch", docs), e("id", id), e("ns", "orders.c"))), e("ok", 1.0))
	}
	agent, _ := small(t, mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
		if m.Name() != "getMore" || m.Flags&mongowire.ExhaustAllowed == 0 {
			return false
		}
		to := m.Header.RequestID
		for i := range 5 {
			to = c.ReplyWith(to, mongowire.MoreToCome, batch(10+i, 7))
		}
		c.ReplyWith(to, 0, batch(3, 0))
		return true
	}})
	c := logIn(t, agent)
	write(t, c, message(t, 70, mongowire.ExhaustAllowed, in("orders", e("getMore", int64(7)), e("collection", "c"))))
	to := int32(70)
	for i := range 6 {
		m := read(t, c)
		if m.Header.ResponseTo != to || (m.Flags&mongowire.MoreToCome != 0) != (i < 5) {
			t.Fatalf("answer %d is to %d with flags %d", i, m.Header.ResponseTo, m.Flags)
		}
		to = m.Header.RequestID
	}
	if _, err := c.run(patience(t), in("orders", e("find", "c"))); err != nil {
		t.Fatal(err)
	}
	var rows []int64
	for _, result := range outcomes(t, leave(t, agent, c))["getMore"] {
		rows = append(rows, result.Number("affected_records"))
	}
	if !slices.Equal(rows, []int64{10, 11, 12, 13, 14, 3}) {
		t.Errorf("recorded %v", rows)
	}
}

// TestStreamingHello has a client watch the server as drivers do, and leave in the middle.
func TestStreamingHello(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{Any: func(c *mongotest.Conn, m mongotest.Message) bool {
		if m.Flags&mongowire.ExhaustAllowed == 0 {
			return false
		}
		to := m.Header.RequestID
		for range 3 {
			to = c.ReplyWith(to, mongowire.MoreToCome, d(e("setName", "rs0"), e("hosts", bson.A{"inner:27017"}), e("ok", 1.0)))
		}
		return true
	}})
	c := logIn(t, agent)
	write(t, c, message(t, 70, mongowire.ExhaustAllowed, hello(e("topologyVersion", d()), e("maxAwaitTimeMS", 10_000))))
	to := int32(70)
	for range 3 {
		m := read(t, c)
		if m.Header.ResponseTo != to || strings.Contains(m.JSON(), "inner") {
			t.Fatalf("an answer to %d: %s", m.Header.ResponseTo, m.JSON())
		}
		to = m.Header.RequestID
	}
	if v := leave(t, agent, c); len(v.Journal.Events("db.session.query")) != 0 {
		t.Error("hello is recorded as a command")
	}
}

// TestTransactions has the commands of a transaction pass as they are; what ends one is sent to admin, for which no grant
// is needed.
func TestTransactions(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	c := logIn(t, agent)
	session := []bson.E{e("lsid", d(e("id", bson.Binary{Subtype: 4, Data: make([]byte, 16)}))), e("txnNumber", int64(1)), e("autocommit", false)}
	all := []bson.D{
		in("orders", append([]bson.E{e("insert", "c"), e("documents", bson.A{d(e("a", 1))}), e("startTransaction", true)}, session...)...),
		in("orders", append([]bson.E{e("find", "c")}, session...)...),
		in("admin", append([]bson.E{e("commitTransaction", 1)}, session...)...),
		in("admin", append([]bson.E{e("abortTransaction", 1)}, session...)...),
	}
	for _, command := range all {
		if _, err := c.run(patience(t), command); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range server.Seen() {
		if !bytes.Equal(m.Body, marshal(t, all[i])) {
			t.Errorf("the server has seen %s", m.JSON())
		}
	}
	results := outcomes(t, leave(t, agent, c))
	for _, name := range []string{"insert", "find", "commitTransaction", "abortTransaction"} {
		if len(results[name]) != 1 || !results[name][0].Flag("success") {
			t.Errorf("%s: %v", name, results[name])
		}
	}
}

// TestConnectionNumbers has servers that tell their number of the connection, or something else: it is recorded with the
// first result, and with the end.
func TestConnectionNumbers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told any
		want int64
	}{
		"a number":        {int32(4711), 4711},
		"a long number":   {int64(4711), 4711},
		"a large number":  {int64(1)<<32 - 1, 1<<32 - 1},
		"one too large":   {int64(1) << 32, 0},
		"one below zero":  {int32(-1), 0},
		"something else":  {"4711", 0},
		"nothing of that": {nil, 0},
	} {
		agent, _ := small(t, mongotest.Options{Hello: func(hello bson.D) bson.D { return append(bson.D{e("connectionId", c.told)}, hello...) }})
		client := logIn(t, agent)
		for range 2 {
			if _, err := client.run(patience(t), in("orders", e("find", "c"))); err != nil {
				t.Fatal(err)
			}
		}
		v := leave(t, agent, client)
		var got []int64
		for _, event := range v.Journal.Events("db.session.result", "db.session.end") {
			got = append(got, event.Number("db_connection_id"))
		}
		if !slices.Equal(got, []int64{c.want, 0, c.want}) {
			t.Errorf("%s: recorded %v", name, got)
		}
	}
}

// TestOutcomes has answers of all kinds, and what is recorded of them before the client reads it.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
		switch m.Name() {
		case "insert":
			c.Reply(m, d(e("n", 3), e("ok", 1.0)))
		case "update":
			c.Reply(m, d(e("n", 1), e("writeErrors", bson.A{d(e("index", 1), e("code", 11000))}), e("ok", 1.0)))
		case "drop":
			c.Reply(m, d(e("ok", 0.0), e("errmsg", "ns not found"), e("code", 26), e("codeName", "NamespaceNotFound")))
		case "delete":
			c.Reply(m, d(e("n", 1), e("writeConcernError", d(e("code", 64))), e("ok", 1.0)))
		}
		return true
	}})
	c := logIn(t, agent)
	v := agent.Visit(t, 0)
	for i, name := range []string{"insert", "update", "drop", "delete"} {
		_, _ = c.run(patience(t), in("orders", e(name, "c")))
		if n := len(v.Journal.Events("db.session.result")); n != i+1 {
			t.Fatalf("when the client has read the answer to %s, %d results are recorded", name, n)
		}
	}
	results := outcomes(t, leave(t, agent, c))
	for name, want := range map[string]struct {
		success bool
		rows    int64
		error   string
	}{"insert": {true, 3, ""}, "update": {false, 1, "some of the documents"}, "drop": {false, 0, "ns not found"}, "delete": {false, 1, "write concern"}} {
		got := results[name][0]
		if got.Flag("success") != want.success || got.Number("affected_records") != want.rows || !strings.Contains(got.Text("error"), want.error) || got.Number("bytes") == 0 {
			t.Errorf("%s: %v", name, got.Fields)
		}
	}
	if results["drop"][0].Text("sqlstate") != "NamespaceNotFound" {
		t.Errorf("drop: %v", results["drop"][0].Fields)
	}
}

// TestClientThatLeavesStopsItsCommand has the connection to the server end when nobody waits for the answer any more, by
// which the server knows to stop: also when a refusal of ours is to come after that answer.
func TestClientThatLeavesStopsItsCommand(t *testing.T) {
	t.Parallel()
	command := message(t, 70, 0, in("orders", e("aggregate", "c"), e("pipeline", bson.A{})))
	refused := message(t, 71, 0, in("orders", e("teleport", 1)))
	for name, sent := range map[string][]byte{"a command": command, "a command and a refused one": slices.Concat(command, refused)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, gone := make(chan struct{}), make(chan error, 1)
			agent, _ := small(t, mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
				close(arrived)
				_, err := c.Read(make([]byte, 1))
				gone <- err
				return true
			}})
			c := logIn(t, agent)
			write(t, c, sent)
			<-arrived
			if err := c.conn.Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-gone:
				if err == nil {
					t.Error("the server still has its connection")
				}
			case <-patience(t).Done():
				t.Fatal("the server is not told")
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !errors.Is(err, io.EOF) {
				t.Errorf("the session ended with %v", err)
			}
			if results := outcomes(t, v)["aggregate"]; len(results) != 1 || results[0].Flag("success") {
				t.Errorf("recorded %v", results)
			}
		})
	}
}

// TestClientsThatResetTheirConnection go without a word: that is in order unless they are owed an answer.
func TestClientsThatResetTheirConnection(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	agent, _ := small(t, mongotest.Options{Command: func(*mongotest.Conn, mongotest.Message) bool {
		close(arrived)
		return true
	}})
	for i, waiting := range []bool{false, true} {
		c := logIn(t, agent)
		if waiting {
			write(t, c, message(t, 70, 0, in("orders", e("find", "c"))))
			<-arrived
		}
		if err := errors.Join(c.conn.(*net.TCPConn).SetLinger(0), c.conn.Close()); err != nil {
			t.Fatal(err)
		}
		if err := agent.Visit(t, i).Wait(t); errors.Is(err, io.EOF) != waiting {
			t.Errorf("waiting: %t: the session ended with %v", waiting, err)
		}
	}
}

// TestAnsweredOnTheWayOut has a client that says nothing when the session ends, and then does, which reads the reason.
func TestAnsweredOnTheWayOut(t *testing.T) {
	t.Parallel()
	cause := fault.New(fault.AccessDenied, "your account was locked")
	agent, server := small(t, mongotest.Options{})
	c := logIn(t, agent)
	half := message(t, 70, 0, in("orders", e("find", "c")))
	write(t, c, half[:20])
	v := agent.Visit(t, 0)
	v.End(cause)
	v.Reach(t, "(*relay).farewell")
	write(t, c, half[20:])
	if err := failureIn(read(t, c).Body); err == nil || !strings.Contains(err.Error(), "your account was locked") {
		t.Errorf("the client got %v", err)
	}
	if err := v.Wait(t); !errors.Is(err, cause) || len(server.Seen()) != 0 {
		t.Errorf("the session ended with %v, and the server saw %v", err, server.Names())
	}
}
