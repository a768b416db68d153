package dataplane

import (
	"bufio"
	"bytes"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func FuzzLDAP(f *testing.F) {
	f.Add([]byte("\x30\x16\x02\x01\x01\x60\x11\x02\x01\x03\x04\x06cn=bob\x80\x04pass"))
	f.Add([]byte("\x30\x84\x00\x00\x00\x16\x02\x01\x01\x60\x11\x02\x01\x03\x04\x06cn=bob\x80\x04pass"))
	f.Add([]byte("\x30\x05\x02\x01\x02\x42\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		e, err := readElement(bufio.NewReader(bytes.NewReader(packet)))
		if err != nil {
			return
		}
		again, err := readElement(bufio.NewReader(bytes.NewReader(e.encode())))
		if len(e.content) < 1<<16 && (err != nil || again.tag != e.tag || !bytes.Equal(again.content, e.content)) {
			t.Errorf("got %v, %v", again, err)
		}
		if operation, bound, err := parseMessage(e); err == nil && operation == tagBind {
			answer, err := readElement(bufio.NewReader(bytes.NewReader(bindResponse(bound.id, resultInvalid))))
			if err != nil || answer.tag != tagSequence {
				t.Errorf("got %v, %v", answer, err)
			}
		}
	})
}

func FuzzStartup(f *testing.F) {
	f.Add(startup(codeVersion3, encodeParameters(map[string]string{"user": "alice", "database": "d"})))
	f.Add(startup(codeSSL, nil))
	f.Add(startup(codeCancel, make([]byte, 8)))
	f.Fuzz(func(t *testing.T, packet []byte) {
		code, rest, err := readStartup(bytes.NewReader(packet))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(packet, startup(code, rest)) {
			t.Error("a packet changes when it is read")
		}
		all, err := parameters(rest)
		if err != nil {
			return
		}
		again, err := parameters(encodeParameters(all))
		if err != nil || len(again) != len(all) {
			t.Errorf("got %v, %v", again, err)
		}
		serverError(rest)
	})
}

func FuzzMongo(f *testing.F) {
	document := func(d bson.D) []byte {
		b, err := bson.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	framed := func(op byte, rest []byte) []byte {
		return append([]byte{byte(16 + len(rest)), 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, op, 7, 0, 0}, rest...)
	}
	payload := document(bson.D{{Key: "r", Value: make([]byte, 32)}, {Key: "p", Value: int32('n')}})
	start := document(bson.D{{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: mongoAWS}, {Key: "payload", Value: payload}, {Key: "$db", Value: external}})
	f.Add(framed(0xdd, append(make([]byte, 5), start...)))
	f.Add(framed(0xd4, append([]byte("\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff"), document(bson.D{{Key: "ismaster", Value: 1}})...)))
	f.Add(framed(0xdd, append(make([]byte, 5), document(bson.D{{Key: "createUser", Value: "arn:aws:iam::1:role/r"}, {Key: "mechanisms", Value: bson.A{mongoAWS}}, {Key: "$db", Value: external}})...)))
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := readMongo(bytes.NewReader(message))
		if err != nil {
			return
		}
		d := &documents{config: Config{Documents: Documents{Master: "m", Password: "p", Version: "5.0.0"}}, accounts: map[string]bool{}}
		for _, account := range []string{"", "m"} {
			v := &visit{documents: d, account: account}
			answer := v.answer(m)
			if answer == nil {
				continue
			}
			b, err := m.answer(answer)
			if err != nil {
				t.Fatalf("%v cannot be sent: %v", answer, err)
			}
			if again, err := readMongo(bytes.NewReader(b)); m.op == opMsg && (err != nil || again.name() == "") {
				t.Errorf("the answer to %s cannot be read: %v", m.name(), err)
			}
		}
	})
}

func FuzzMySQLHandshake(f *testing.F) {
	g := myGreeting{version: "8.0.35", connection: 7, nonce: []byte("01234567890123456789"), flags: mySecure | myPluginAuth, collation: 45, status: 2, method: myNative}
	f.Add(g.payload())
	l := myLogin{flags: mySecure, limit: 1 << 24, collation: 45, user: "alice", database: "shop"}
	f.Add(l.payload("secret", g.nonce))
	f.Add((&myRefusal{1045, "28000", "Access denied"}).payload())
	f.Add(append(make([]byte, myLoginHead), "a\x00\x01"...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if g, err := parseGreeting(payload); err == nil {
			again, err := parseGreeting(g.payload())
			if err != nil || again.version != g.version || again.flags != g.flags || !bytes.Equal(again.nonce, g.nonce) {
				t.Errorf("got %+v, %v", again, err)
			}
		}
		if l, err := parseMyLogin(payload); err == nil && l.user != "" {
			again, err := parseMyLogin(l.payload("secret", g.nonce))
			if err != nil || again.user != l.user || again.database != l.database {
				t.Errorf("got %+v, %v", again, err)
			}
		}
		_ = parseMyError(payload)
		if got, sequence, err := readPacket(bytes.NewReader(packet(3, payload))); len(payload) <= longestMessage && (err != nil || sequence != 3 || !bytes.Equal(got, payload)) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func FuzzRedisCommand(f *testing.F) {
	f.Add([]byte("*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$6\r\nsecret\r\n"))
	f.Add([]byte("PING\r\n"))
	f.Add([]byte("*2\r\n$536870912\r\nx"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		in := bufio.NewReader(bytes.NewReader(packet))
		c, err := readRedisCommand(in)
		if !bytes.HasPrefix(packet, c.raw) {
			t.Errorf("read %q of %q", c.raw, packet)
		}
		if err != nil || len(c.words) == 0 || c.raw[0] != '*' {
			return
		}
		again, err := readRedisCommand(bufio.NewReader(bytes.NewReader(encodeRedisCommand(c.words))))
		if err != nil || !slices.Equal(again.words, c.words) {
			t.Errorf("got %q, %v; want %q", again.words, err, c.words)
		}
	})
}
