package mongodb_test

import (
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
)

// hellos notes the hellos that a server gets after its login.
func hellos(options *mongotest.Options) chan mongotest.Message {
	got := make(chan mongotest.Message, 100)
	options.Any = func(_ *mongotest.Conn, m mongotest.Message) bool {
		if _, err := m.Body.LookupErr("marker"); err == nil || m.Name() == "hello" || m.Name() == "ismaster" {
			got <- m
		}
		return false
	}
	return got
}

// TestHello checks that nothing is agreed on that commands could not be read with, or that would change who the client is.
func TestHello(t *testing.T) {
	t.Parallel()
	options := mongotest.Options{Hello: func(d bson.D) bson.D {
		d = slices.DeleteFunc(d, func(field bson.E) bool { return field.Key == "maxMessageSizeBytes" })
		return append(bson.D{
			e("compression", bson.A{"zlib"}), e("speculativeAuthenticate", bson.D{}), e("saslSupportedMechs", bson.A{"PLAIN"}),
			e("setName", "rs0"), e("hosts", bson.A{"inner-1:27017", "inner-2:27017"}), e("passives", bson.A{"inner-3:27017"}), e("arbiters", bson.A{"inner-4:27017"}),
			e("me", "inner-1:27017"), e("primary", "inner-1:27017"), e("maxMessageSizeBytes", int64(1<<40)), e("somethingNew", "inner-1:27017"),
		}, d...)
	}}
	got := hellos(&options)
	agent, _ := small(t, options)
	c := connectRaw(t, agent)
	about := d(e("application", d(e("name", "shop"))), e("driver", d(e("name", "nodejs"), e("version", "6.1"))))
	reply, err := c.run(patience(t), hello(
		e("helloOk", true), e("client", about), e("compression", bson.A{"snappy", "zlib"}), e("loadBalanced", true), e("saslSupportedMechs", "admin.root"),
		e("speculativeAuthenticate", d(e("saslStart", 1), e("payload", "secret"))), e("internalClient", d(e("maxWireVersion", 21))), e("topologyVersion", d()), e("maxAwaitTimeMS", 10), e("comment", "that nobody records")))
	if err != nil {
		t.Fatal(err)
	}
	if request := (<-got).JSON(); request != `{"hello":1,"helloOk":true,"client":{"application":{"name":"shop"},"driver":{"name":"nodejs","version":"6.1"}},"topologyVersion":{},"maxAwaitTimeMS":10,"$db":"admin"}` {
		t.Errorf("the server got %s", request)
	}
	text := string(mongowire.AppendJSON(nil, mongowire.Document(reply)))
	for _, absent := range []string{"inner", "compression", "speculative", "sasl", "arbiters", "passives", `"me"`, `"primary"`, "New"} {
		if strings.Contains(text, absent) {
			t.Errorf("the client reads of %q: %s", absent, text)
		}
	}
	for _, present := range []string{`"setName":"rs0"`, `"maxMessageSizeBytes":48000000`, `"hosts":["add-directConnection-true`, `"isWritablePrimary":true`} {
		if !strings.Contains(text, present) {
			t.Errorf("the client does not read %s: %s", present, text)
		}
	}
	v := agent.Visit(t, 0)
	if start := v.Journal.Events("db.session.start"); start[0].Text("user_agent") != "shop (nodejs 6.1)" {
		t.Errorf("start: %v", start)
	}
	if n := len(v.Journal.Events("db.session.query")); n != 0 {
		t.Errorf("%d commands are recorded", n)
	}
}

// TestHelloOfOldClients has a client say hello in an OP_QUERY, as drivers do first, in each form.
func TestHelloOfOldClients(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]bson.D{
		"bare":                 d(e("ismaster", 1), e("helloOk", true)),
		"in its old envelope":  d(e("$query", d(e("ismaster", 1), e("helloOk", true))), e("$readPreference", d(e("mode", "primary")))),
		"with another command": d(e("ismaster", 1), e("helloOk", true), e("saslStart", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options mongotest.Options
			got := hellos(&options)
			agent, _ := small(t, options)
			c := connectRaw(t, agent)
			if _, err := c.conn.Write(query(t, 9, "admin.$cmd", body)); err != nil {
				t.Fatal(err)
			}
			if reply := readReply(t, c); !strings.Contains(reply, `"ismaster":true`) {
				t.Errorf("the client got %s", reply)
			}
			if request := (<-got).JSON(); request != `{"ismaster":1,"helloOk":true,"$db":"admin"}` {
				t.Errorf("the server got %s", request)
			}
		})
	}
}

// query returns an OP_QUERY.
func query(t testing.TB, id int32, collection string, body any) []byte {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0)
	for _, n := range []int32{id, 0, int32(mongowire.OpQuery), 0} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	b = append(append(b, collection...), 0)
	b = append(b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	b = append(b, marshal(t, body)...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// readReply reads an OP_REPLY and returns its document.
func readReply(t testing.TB, c *rawClient) string {
	t.Helper()
	deadline, _ := patience(t).Deadline()
	if err := c.conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 36)
	if _, err := io.ReadFull(c.conn, b); err != nil {
		t.Fatal(err)
	}
	h := mongowire.ReadHeader(b)
	document := make([]byte, int(h.Size)-36)
	if _, err := io.ReadFull(c.conn, document); err != nil || h.Op != mongowire.OpReply {
		t.Fatalf("%s, %v", h.Op, err)
	}
	return string(mongowire.AppendJSON(nil, document))
}

// TestLegacyQueries has old commands and old data requests, which are refused in their own form.
func TestLegacyQueries(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{})
	c := logIn(t, agent)
	for _, test := range []struct {
		collection string
		body       bson.D
	}{
		{"orders.$cmd", d(e("find", "c"))},
		{"orders.c", d(e("ismaster", 1))},
		{"orders.c", d(e("a", 1))},
		{"orders.c", d(e("ismaster", 1), e("speculativeAuthenticate", d(e("payload", "secret"))))},
		{"admin.$cmd", d(e("$query", d(e("saslStart", 1), e("payload", "secret"))))},
		{"admin.$cmd", d()},
	} {
		if _, err := c.conn.Write(query(t, 9, test.collection, test.body)); err != nil {
			t.Fatal(err)
		}
		if reply := readReply(t, c); !strings.Contains(reply, `"$err":"OP_QUERY is not passed on`) || !strings.Contains(reply, `"code":352`) {
			t.Errorf("%s %v: %s", test.collection, test.body, reply)
		}
	}
	if seen := server.Seen(); len(seen) != 0 {
		t.Errorf("the server has seen %v", server.Names())
	}
	failed := recorded(agent, "db.session.query.failed")
	if len(failed) != 6 || failed[0].Text("db_query") != `{"find":"c"}` || failed[0].Text("db_name") != "orders" {
		t.Errorf("recorded %v", failed)
	}
	for _, event := range failed {
		if strings.Contains(event.Text("db_query"), "secret") {
			t.Errorf("recorded %s", event.Text("db_query"))
		}
	}
}

// TestOtherOpcodes has every other kind of message end the session: recorded, told, and never sent on.
func TestOtherOpcodes(t *testing.T) {
	t.Parallel()
	insert := append([]byte("\x00\x00\x00\x00orders.c\x00"), marshal(t, d(e("a", 1)))...)
	compressed := append([]byte{0xdd, 7, 0, 0, 100, 0, 0, 0, 0}, message(t, 1, 0, in("orders", e("find", "c")))[16:]...)
	for name, c := range map[string][]byte{
		"OP_INSERT":                   append(header(int32(16+len(insert)), 2002), insert...),
		"OP_UPDATE":                   append(header(24, 2001), make([]byte, 8)...),
		"OP_DELETE":                   append(header(24, 2006), make([]byte, 8)...),
		"OP_GET_MORE":                 append(header(24, 2005), make([]byte, 8)...),
		"OP_KILL_CURSORS":             append(header(24, 2007), make([]byte, 8)...),
		"OP_REPLY":                    append(header(24, 1), make([]byte, 8)...),
		"OP_COMMAND":                  append(header(24, 2010), make([]byte, 8)...),
		"OP_COMPRESSED":               append(header(int32(16+len(compressed)), 2012), compressed...),
		"an opcode that nobody knows": append(header(24, 4711), make([]byte, 8)...),
		"a section of kind 2":         message(t, 7, 0, in("orders", e("find", "c")), []byte{2, 0, 0, 0, 0}),
		"an unknown flag":             message(t, 7, 1<<3, in("orders", e("find", "c"))),
		"a length of nothing":         header(0, 2013),
		"a length beyond the limit":   header(48_000_001, 2013),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mongotest.Options{})
			client := logIn(t, agent)
			_, err := client.exchange(patience(t), c)
			if err == nil || !strings.Contains(err.Error(), "the session ends") && !strings.Contains(err.Error(), "at most 48000000 pass") {
				t.Errorf("the client got %v", err)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if n := len(v.Journal.Events("db.session.malformed_packet", "db.session.query.failed")); n != 1 {
				t.Errorf("%d events", n)
			}
			if len(server.Seen()) != 0 {
				t.Errorf("the server has seen %v", server.Names())
			}
		})
	}
}
