package mongodb_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// raw sends bytes in place of an answer. What they answer is filled in.
func raw(answer []byte) func(*mongotest.Conn, mongotest.Message) bool {
	return func(c *mongotest.Conn, m mongotest.Message) bool {
		b := bytes.Clone(answer)
		if len(b) >= 12 && binary.LittleEndian.Uint32(b[8:]) == toThis {
			binary.LittleEndian.PutUint32(b[8:], uint32(m.Header.RequestID))
		}
		_, _ = c.Write(b)
		return true
	}
}

const toThis = 0xabcdef

func reply(t testing.TB, flags uint32, body any) []byte {
	return mongowire.AppendMsg(nil, 99, toThis, flags, marshal(t, body))
}

// TestRogueLogin has servers that do anything but log a client in. The client reads an error of ours.
func TestRogueLogin(t *testing.T) {
	t.Parallel()
	hangUp := func(c *mongotest.Conn, _ mongotest.Message) bool { _ = c.Close(); return true }
	ok := reply(t, 0, d(e("ok", 1)))
	for name, c := range map[string]struct {
		hello, login func(*mongotest.Conn, mongotest.Message) bool
		text         string
	}{
		"it hangs up at once":              {hello: hangUp, text: "broke the connection off"},
		"it hangs up at the login":         {login: hangUp, text: "broke the connection off"},
		"a web server":                     {hello: raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), text: "does not follow the MongoDB protocol"},
		"a negative length":                {hello: raw(header(-1, 2013)), text: "does not follow"},
		"a giant length":                   {hello: raw(header(1<<30, 2013)), text: "does not follow"},
		"an old answer":                    {hello: raw(append(header(24, 1), make([]byte, 8)...)), text: "does not follow"},
		"a compressed answer":              {hello: raw(append(header(24, 2012), make([]byte, 8)...)), text: "does not follow"},
		"an answer to something else":      {hello: raw(mongowire.AppendMsg(nil, 1, 4711, 0, marshal(t, d(e("ok", 1))))), text: "does not follow"},
		"more answers to come":             {hello: raw(reply(t, mongowire.MoreToCome, d(e("ok", 1)))), text: "does not follow"},
		"an answer that is no document":    {hello: raw(append(ok[:len(ok)-1:len(ok)-1], 1)), text: "does not follow"},
		"an answer without ok":             {hello: raw(reply(t, 0, d(e("errmsg", "what?")))), text: "the database refused the login: what?"},
		"hosts that are no list":           {hello: raw(reply(t, 0, d(e("hosts", 1), e("maxWireVersion", 21), e("ok", 1)))), text: "does not follow"},
		"a version of long ago":            {hello: raw(reply(t, 0, d(e("ismaster", true), e("maxWireVersion", 5), e("ok", 1)))), text: "MongoDB 3.6"},
		"no version":                       {hello: raw(ok), text: "MongoDB 3.6"},
		"it takes the account for another": {login: raw(reply(t, 0, d(e("user", "CN=root"), e("ok", 1)))), text: `for account "CN=root", and not for "app"`},
		"for one that begins like it":      {login: raw(reply(t, 0, d(e("user", "CN=app2"), e("ok", 1)))), text: `and not for "app"`},
		"an account that is unknown":       {login: raw(reply(t, 0, d(e("ok", 0), e("code", 18), e("errmsg", "Authentication failed.")))), text: `createUser({user: "CN=app"`},
		"a mechanism that is switched off": {login: raw(reply(t, 0, d(e("ok", 0), e("code", 2), e("errmsg", "Received authentication for mechanism MONGODB-X509 which is not enabled")))), text: "authenticationMechanisms"},
		"it answers twice":                 {login: raw(append(bytes.Clone(ok), ok...)), text: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := mongotest.Options{Authenticate: c.login}
			if c.hello != nil {
				options.Any = c.hello
			}
			agent, _ := small(t, options)
			client := connectRaw(t, agent)
			err := client.enter(patience(t), hello())
			if c.text == "" { // what was not asked for is found out at once, or with the first command
				if err == nil {
					_, err = client.run(patience(t), in("orders", e("find", "c")))
				}
				c.text = "does not belong here"
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("the client got %v", err)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if events := v.Journal.Events("db.session.end"); len(events) != 1 || events[0].Text("error") == "" {
				t.Errorf("end: %v", events)
			}
		})
	}
}

// TestRogueAnswers has servers that answer a command as nobody should. The session ends.
func TestRogueAnswers(t *testing.T) {
	t.Parallel()
	ok := reply(t, 0, d(e("ok", 1)))
	changed := func(at int, value byte) []byte {
		b := bytes.Clone(ok)
		b[at] = value
		return b
	}
	longer := append(bytes.Clone(ok), 0, 0)
	binary.LittleEndian.PutUint32(longer, uint32(len(longer)))
	for name, c := range map[string]struct {
		answer []byte
		first  bool // a right answer comes first
	}{
		"two answers":                        {append(bytes.Clone(ok), ok...), true},
		"an answer to something else":        {mongowire.AppendMsg(nil, 1, 4711, 0, marshal(t, d(e("ok", 1)))), false},
		"an old answer":                      {append(header(24, 1), make([]byte, 8)...), false},
		"a compressed answer":                {append(header(24, 2012), make([]byte, 8)...), false},
		"one as long as a real one":          {changed(12, 0xdc), false},
		"an old one as long":                 {changed(12, 0xd4), false},
		"a command":                          {append(header(24, 2004), make([]byte, 8)...), false},
		"a negative length":                  {header(-1, 2013), false},
		"a giant length":                     {append(header(1<<30, 2013), make([]byte, 8)...), false},
		"no more than a header":              {append(header(16, 2013), make([]byte, 8)...), false},
		"more to come, which nobody wants":   {reply(t, mongowire.MoreToCome, d(e("ok", 1))), false},
		"an unknown flag":                    {changed(17, 1), false},
		"a section of kind 1":                {changed(20, 1), false},
		"something behind the document":      {longer, false},
		"a document longer than the message": {changed(21, 0x7f), false},
		"a type that nobody knows":           {changed(25, 0x66), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mongotest.Options{Command: raw(c.answer)})
			client := logIn(t, agent)
			_, err := client.run(patience(t), in("orders", e("find", "c")))
			if c.first && err == nil {
				_, err = client.run(patience(t), in("orders", e("find", "c")))
			}
			if err == nil || !strings.Contains(err.Error(), "does not belong here") {
				t.Errorf("the client got %v", err)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
				t.Errorf("the engine returned %v", err)
			}
			queries, results := v.Journal.Events("db.session.query"), v.Journal.Events("db.session.result")
			if len(queries) != len(results) {
				t.Errorf("%d commands and %d results", len(queries), len(results))
			}
		})
	}
}

// TestRogueHello has servers that answer a later hello wrongly.
func TestRogueHello(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{
		"no document":            append(header(21, 2013), make([]byte, 5)...),
		"an answer that is huge": append(header(1<<20, 2013), make([]byte, 1<<16)...),
		"more to come":           reply(t, mongowire.MoreToCome, d(e("ok", 1))),
	} {
		agent, _ := small(t, mongotest.Options{Any: func(c *mongotest.Conn, m mongotest.Message) bool {
			return m.Name() == "hello" && raw(answer)(c, m)
		}})
		client := connectRaw(t, agent)
		if _, err := client.run(patience(t), hello()); err == nil || !strings.Contains(err.Error(), "does not belong here") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
