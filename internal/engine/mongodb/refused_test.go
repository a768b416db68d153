package mongodb_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// TestDriversHearAFinalRefusal has MongoDB's driver be refused for what its user asked for: it says so at its first command, as the server
// would, and does not knock again and again, which would fill the audit log.
func TestDriversHearAFinalRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*enginetest.Config)
		server mongotest.Options
		user   string
		code   int32
		text   string
		seen   bool // by the database
	}{
		"an account that the rules deny": {change: func(c *enginetest.Config) { c.Roles = []string{ordersOnly} }, user: "root", code: 13, text: "access to db denied"},
		"a lock":                         {change: func(c *enginetest.Config) { c.Refusal = fault.New(fault.AccessDenied, "you are locked out") }, user: "app", code: 13, text: "you are locked out"},
		"a certificate that has expired": {change: func(c *enginetest.Config) { c.Refusal = fault.New(fault.Unauthenticated, "run tsh login") }, user: "app", code: 13, text: "run tsh login"},
		"an account that the database does not have": {change: func(*enginetest.Config) {}, user: "app", code: 18, text: "createUser", seen: true,
			server: mongotest.Options{Authenticate: func(c *mongotest.Conn, m mongotest.Message) bool {
				c.Refuse(m, 18, "Authentication failed.")
				return true
			}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, c.server, c.change)
			agent.Expect(c.user, "orders")
			client := connect(t, agent.Addr(), func(o *options.ClientOptions) { o.SetMinPoolSize(2) })
			items := client.Database("orders").Collection("items")
			for range 3 {
				_, err := items.InsertOne(patience(t), bson.D{})
				var refused mongo.CommandError
				if !errors.As(err, &refused) || refused.Code != c.code || !strings.Contains(refused.Message, c.text) {
					t.Fatalf("the driver says %v", err)
				}
			}
			if err := client.Disconnect(patience(t)); err != nil {
				t.Fatal(err)
			}
			for _, v := range agent.Visits() {
				if err := v.Wait(t); err == nil {
					t.Error("a session ended without its refusal")
				}
			}
			starts := recorded(agent, "db.session.start")
			if n := len(starts); n == 0 || n > 5 { // one watches the server, and a pool
				t.Errorf("%d starts are recorded", n)
			}
			for _, start := range starts {
				if start.Flag("success") != c.seen {
					t.Errorf("recorded: %v", start)
				}
			}
			if n := len(recorded(agent, "db.session.query")); n != 0 {
				t.Errorf("%d commands are recorded", n)
			}
			for _, name := range server.Names() {
				if !c.seen || name == "insert" {
					t.Errorf("the database saw %s", name)
				}
			}
		})
	}
}

// TestDatabasesThatAreAwayAreAskedAgain leaves a hello unanswered with success when another attempt may do.
func TestDatabasesThatAreAwayAreAskedAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*enginetest.Config){
		"too many connections": func(c *enginetest.Config) { c.Refusal = fault.New(fault.LimitExceeded, "too many") },
		"nobody there":         func(c *enginetest.Config) { c.Database.Spec.URI = "127.0.0.1:1" },
	} {
		agent, _ := small(t, mongotest.Options{}, change)
		if reply, err := connectRaw(t, agent).run(patience(t), hello()); err == nil {
			t.Errorf("%s: hello is answered with %s", name, reply)
		}
	}
}

// TestRefusedMessages is what a client that is refused reads in answer to each kind of message.
func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) { c.Roles = []string{ordersOnly} })
	agent.Expect("root", "orders")
	c := connectRaw(t, agent)
	body := marshal(t, d(e("ismaster", 1), e("helloOk", true)))
	query := append(append(header(int32(16+4+11+8+len(body)), 2004), []byte("\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff")...), body...)
	large := message(t, 12, 0, in("orders", e("insert", "c"), e("documents", bson.A{d(e("text", strings.Repeat("x", 100<<10)))})))
	unanswered := message(t, 13, mongowire.MoreToCome, in("orders", e("insert", "c")))
	for _, said := range []struct {
		name    string
		message []byte
		to      int32
		op      mongowire.Op
		hello   bool
	}{
		{"an old hello", query, 7, mongowire.OpReply, true},
		{"a hello", message(t, 11, 0, hello()), 11, mongowire.OpMsg, true},
		{"a large command", large, 12, mongowire.OpMsg, false},
		{"one behind a command without an answer", append(unanswered, message(t, 14, 0, hello())...), 14, mongowire.OpMsg, true},
		{"a login", message(t, 15, 0, in("$external", e("authenticate", 1), e("mechanism", "MONGODB-X509"))), 15, mongowire.OpMsg, false},
	} {
		write(t, c, said.message)
		answer := make([]byte, 16, 1<<10)
		if _, err := io.ReadFull(c.conn, answer); err != nil {
			t.Fatalf("%s: %v", said.name, err)
		}
		h := mongowire.ReadHeader(answer)
		answer = append(answer, make([]byte, h.Size-16)...)
		if _, err := io.ReadFull(c.conn, answer[16:]); err != nil {
			t.Fatalf("%s: %v", said.name, err)
		}
		if h.ResponseTo != said.to || h.Op != said.op || !bytes.Contains(answer, []byte("access to db denied")) {
			t.Errorf("%s is answered with %+v %q", said.name, h, answer)
		}
		if isHello := mongowire.RefusalIn(answer) != ""; isHello != said.hello {
			t.Errorf("%s is taken for a hello: %t", said.name, isHello)
		}
	}
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := agent.Visit(t, 0).Wait(t); fault.KindOf(err) != fault.AccessDenied {
		t.Errorf("the session ended with %v", err)
	}
	if len(server.Names()) != 0 {
		t.Errorf("the database saw %v", server.Names())
	}
}

// TestRefusedClientsDoNotStay bounds what a client may say that is refused, and ends it with the session's context.
func TestRefusedClientsDoNotStay(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{}, func(c *enginetest.Config) { c.Refusal = fault.New(fault.AccessDenied, "you are locked out") })
	for i, ends := range []func(c *rawClient, v *enginetest.Visit){
		func(c *rawClient, _ *enginetest.Visit) {
			n, err := 0, error(nil)
			for ; err == nil; n++ {
				_, err = c.run(patience(t), hello())
			}
			if n < 10 || n > 1000 {
				t.Errorf("it says hello %d times", n)
			}
		},
		func(_ *rawClient, v *enginetest.Visit) { v.End(errors.New("the agent stops")) },
		func(c *rawClient, _ *enginetest.Visit) { write(t, c, []byte("GET / HTTP/1.1\r\n\r\n")) },
	} {
		c := logIn(t, agent)
		v := agent.Visit(t, i)
		ends(c, v)
		if err := v.Wait(t); fault.KindOf(err) != fault.AccessDenied {
			t.Errorf("%d: the session ended with %v", i, err)
		}
	}
}
