package redis_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/resp"
)

// said is what a client or a server of the fuzzer says: separated by this, so that a server can answer each command.
var said = []byte("\x00")

const ownPassword = "the engine's own"

// FuzzSession has a client say anything, and a server answer each command with anything. Whatever the server got was
// recorded before, for the same account, and is nothing that is refused; what the client got are replies; and each recorded
// command has one outcome.
func FuzzSession(f *testing.F) {
	add := func(client string, answers ...string) {
		f.Add([]byte(lines(client)), []byte(lines(strings.Join(answers, string(said)))))
	}
	add("GET k\nSET k v\nINCR k\n", "$1\nv\n", "+OK\n", "-ERR no\n")
	add("MULTI\nSET k v\nCONFIG GET x\nEXEC\n", "+OK\n", "+QUEUED\n", "+OK\n")
	add("MULTI\nSET k v\nINCR k\nEXEC\nGET k\n", "+OK\n", "+QUEUED\n", "+QUEUED\n", "*2\n+OK\n-ERR no\n", "$-1\n")
	add("WATCH k\nMULTI\nGET k\nEXEC\n", "+OK\n", "+OK\n", "+QUEUED\n", "*-1\n")
	add("SUBSCRIBE a b\nUNSUBSCRIBE\nGET k\n", "*3\n$9\nsubscribe\n$1\na\n:1\n*3\n$9\nsubscribe\n$1\nb\n:2\n*3\n$7\nmessage\n$1\na\n$1\nx\n",
		"*3\n$11\nunsubscribe\n$1\na\n:1\n*3\n$11\nunsubscribe\n$1\nb\n:0\n", "_\n")
	add("HELLO 3\nSUBSCRIBE a\nGET k\n", "%1\n+proto\n:3\n", ">3\n$9\nsubscribe\n$1\na\n:1\n>3\n+message\n+a\n+x\n", "$3\nabc\n")
	add("SELECT 3\nMULTI\nRESET\nGET k\n", "+OK\n", "+OK\n", "+RESET\n", "+OK\n", "$1\nv\n")
	add("AUTH app wrong\nAUTH other x\nHELLO 2 AUTH app x\nAUTH x\n", "-WRONGPASS no\n", "+OK\n")
	add("*3\n$4\nEVAL\n$8\nreturn 1\n$1\n0\nEVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0\nEVALSHA 0 0\n", ":1\n", ":1\n")
	add("MONITOR\nCLIENT REPLY OFF\nNOSUCH\nQUIT\nGET late\n", "+OK\n")
	add("*2\n$3\nGET\n$1\nk\n*1\n:1\n", "$1\nv\n")
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte) {
		synctest.Test(t, func(t *testing.T) { converse(t, fromClient, fromServer) })
	})
}

// converse has the two sides say what they say, in a time that passes only when nobody has anything to do.
func converse(t *testing.T, fromClient, fromServer []byte) {
	s, journal, up := enginetest.OpenSession(t, "redis", "", `{allow: {db_labels: {'*': '*'}, db_users: [app]}}`)
	fromClient = append(slices.Clip(fromClient), "QUIT\r\n"...)
	c := &fuzzed{answers: bytes.Split(fromServer, said), ended: make(chan struct{}), left: make(chan struct{})}
	client, clientEnd := net.Pipe()
	server, serverEnd := net.Pipe()
	sides := make(chan struct{}, 3)
	go func() { c.serve(serverEnd); sides <- struct{}{} }()
	go func() { _, _ = io.Copy(&c.heard, clientEnd); sides <- struct{}{} }()
	go func() { c.say(clientEnd, fromClient); sides <- struct{}{} }()
	err := newEngine().Relay(t.Context(), client, server, s, up, ownPassword)
	close(c.ended)
	for _, conn := range []net.Conn{client, server, clientEnd, serverEnd} {
		_ = conn.Close()
	}
	for range cap(sides) {
		<-sides
	}
	if err := errors.Join(err, s.Close("ended", err)); err != nil && err.Error() == "" {
		t.Error("an error without a text")
	}
	c.check(t, journal)
}

// fuzzed is a conversation.
type fuzzed struct {
	answers [][]byte
	ended   chan struct{} // closed when the relay has ended
	left    chan struct{} // closed when the server has hung up

	got   [][]string   // commands that the server got
	heard bytes.Buffer // by the client
}

// say writes, and hangs up when everything that is to be answered is.
func (c *fuzzed) say(conn net.Conn, data []byte) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(enginetest.Patience))
	if _, err := conn.Write(data); err != nil {
		return
	}
	var p resp.Parser
	for size := 0; len(data) > 0; data = data[size:] {
		var err error
		if size, _, err = p.Parse(data, resp.DefaultLimits); err != nil || size == 0 {
			return // the last command will not come
		}
	}
	if len(p.Args) != 1 || string(p.Args[0]) != "QUIT" {
		return // it has become part of another one
	}
	select {
	case <-c.ended:
	case <-c.left:
	}
}

// lull is how long the server waits: for a command, which may never come when half an answer is under way, and for somebody
// to read what it answers. It is longer than everything that a relay waits for.
const lull = time.Minute

// serve answers each command, and hangs up behind QUIT and when it has nothing more to say.
func (c *fuzzed) serve(conn net.Conn) {
	defer close(c.left)
	defer conn.Close()
	var p resp.Parser
	var data []byte
	buf := make([]byte, 4<<10)
	for {
		size, _, err := p.Parse(data, resp.DefaultLimits)
		if err != nil {
			c.got = append(c.got, []string{"what is no command: " + err.Error()})
			return
		}
		if size == 0 {
			_ = conn.SetReadDeadline(time.Now().Add(lull))
			n, err := conn.Read(buf)
			if data = append(data, buf[:n]...); err != nil {
				return
			}
			continue
		}
		var args []string
		for _, arg := range p.Args {
			args = append(args, string(arg))
		}
		data = data[size:]
		c.got = append(c.got, args)
		if len(c.answers) == 0 {
			return
		}
		answer := c.answers[0]
		c.answers = c.answers[1:]
		_ = conn.SetWriteDeadline(time.Now().Add(lull))
		if _, err := conn.Write(answer); err != nil || strings.EqualFold(args[0], "quit") {
			return
		}
	}
}

func (c *fuzzed) check(t *testing.T, journal *enginetest.Journal) {
	recorded := slices.DeleteFunc(journal.Statements(), func(e enginetest.Event) bool { return e.Type != "db.session.query" })
	all := recorded
	refused := []string{"config", "monitor", "sync", "psync", "replconf", "migrate", "debug", "shutdown", "nosuch"}
	for _, args := range c.got {
		switch name := strings.ToLower(args[0]); {
		case strings.HasPrefix(name, "what is no command"), slices.Contains(refused, name):
			t.Fatalf("the server got %q", args)
		case name == "auth" && len(args) == 3 && args[2] == ownPassword, name == "discard" && (len(recorded) == 0 || !strings.EqualFold(firstWord(recorded[0]), "discard")):
			continue // ours
		case name == "auth" && (len(args) != 3 || args[1] != "app"):
			if len(args) == 2 || len(args) == 3 {
				t.Fatalf("the server got %q", args)
			}
		}
		if len(recorded) == 0 || !strings.EqualFold(firstWord(recorded[0]), args[0]) {
			t.Fatalf("the server got %q, and the next that is recorded is %v", args, recorded)
		}
		recorded = recorded[1:]
	}
	outcomes := make(map[[2]int64]int)
	for _, result := range journal.Results() {
		outcomes[[2]int64{result.Number("statement_ei"), result.Number("command")}]++
	}
	for _, query := range all {
		if n := outcomes[[2]int64{query.Number("ei"), query.Number("command")}]; n != 1 {
			t.Fatalf("%s has %d outcomes", query.Text("db_query"), n)
		}
	}
	if strings.Contains(string(bytes.Join(journal.Lines(), nil))+c.heard.String(), ownPassword) {
		t.Fatal("the engine's own password was told")
	}
	var scanner resp.Scanner
	for rest := c.heard.Bytes(); len(rest) > 0; {
		n, reply, err := scanner.Scan(rest)
		if err != nil {
			t.Fatalf("the client got %q: %v", c.heard.String(), err)
		}
		if rest = rest[n:]; reply == nil {
			return // the write was broken off
		}
	}
}

// firstWord returns the name of a command, which is recorded as it is if the command is known.
func firstWord(query enginetest.Event) string {
	word, _, _ := strings.Cut(query.Text("db_query"), " ")
	return word
}
