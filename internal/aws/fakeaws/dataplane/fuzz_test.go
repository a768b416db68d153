package dataplane

import (
	"bufio"
	"bytes"
	"testing"
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
