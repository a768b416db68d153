package mysql_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// preparing is a server that prepares every statement under the next number.
func preparing(parameters int) mysqltest.Options {
	id := uint32(0)
	return mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, _ []byte) bool {
		switch got {
		case mysqlwire.ComStmtPrepare:
			id++
			return c.Packets(preparedWith(id, parameters)...) == nil
		case mysqlwire.ComStmtLongData, mysqlwire.ComStmtClose:
			return true
		}
		return false
	}}
}

// answeringBulk is a small server that executes whatever it has prepared, which has one parameter.
func answeringBulk() mysqltest.Options {
	options := preparing(1)
	prepare := options.Command
	options.Greeting = func(g *mysqlwire.Greeting) { // as MariaDB's
		g.Flags = g.Flags&^mysqlwire.LongPassword | mysqlwire.BulkOperations
	}
	options.Command = func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
		if got == mysqlwire.ComStmtBulkExecute {
			return c.Packets([]byte{mysqlwire.HeaderOK, 0, 0, 2, 0, 0, 0}) == nil
		}
		return prepare(c, got, body)
	}
	return options
}

// preparedWith is the answer to a preparation of a statement without columns.
func preparedWith(id uint32, parameters int) [][]byte {
	packets := [][]byte{append(binary.LittleEndian.AppendUint32([]byte{0}, id), 0, 0, byte(parameters), byte(parameters>>8), 0, 0, 0)}
	for range parameters {
		packets = append(packets, mysqltest.Column("?"))
	}
	if parameters > 0 {
		packets = append(packets, []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
	}
	return packets
}

// TestStatementsWhoseNumberIsGuessed sends a piece of a value before the number of its statement was told: the record must
// not take the values of the execution for other ones.
func TestStatementsWhoseNumberIsGuessed(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, preparing(2))
	c := logIn(t, agent, all)
	c.write(append(command(mysqlwire.ComStmtPrepare, "insert into t values (?, ?)"), command(mysqlwire.ComStmtLongData, u32(1)+"\x00\x00piece")...))
	p := c.prepared()
	c.ok(mysqlwire.ComStmtExecute, execution(p.ID, 0, long, "b"))
	c.ok(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", "b"))
	wantTold(t, c.leave(agent), "TMY00I insert into t values (?, ?) -> 0", "TMY02I", "TDB02I insert into t values (?, ?) [<nil> b] -> 0", "TDB02I insert into t values (?, ?) [a b] -> 0")
}

// TestServersThatTakeBackWhatTheyPrepared checks that what a session keeps is counted right by then.
func TestServersThatTakeBackWhatTheyPrepared(t *testing.T) {
	t.Parallel()
	id := uint32(0)
	agent, _ := small(t, mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
		if got != mysqlwire.ComStmtPrepare {
			return false
		}
		if id++; strings.HasPrefix(string(body), "lie") {
			return c.Packets(append(preparedWith(7, 1)[:1], []byte("\xff\x28\x04#42000no"))...) == nil
		}
		return c.Packets(preparedWith(id, 1)...) == nil
	}}, func(cfg *enginetest.Config) {
		cfg.Engine = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKept: 1000})
	})
	c := logIn(t, agent, all)
	for range 10 {
		c.do(mysqlwire.ComStmtPrepare, "lie"+strings.Repeat("x", 400))
		c.packet()
	}
	for range 2 {
		c.prepare(strings.Repeat("x", 400))
	}
	if got := c.errorOf(c.do(mysqlwire.ComStmtPrepare, strings.Repeat("x", 400))); !strings.Contains(got, "or more than 1000 bytes of them") {
		t.Errorf("a third statement: %s", got)
	}
}

// TestParametersCountForWhatASessionKeeps prepares short statements with many parameters.
func TestParametersCountForWhatASessionKeeps(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, preparing(100), func(cfg *enginetest.Config) {
		cfg.Engine = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKept: 10_000})
	})
	c := logIn(t, agent, all)
	for i := 0; ; i++ {
		payload := c.do(mysqlwire.ComStmtPrepare, "?")
		if payload[0] == mysqlwire.HeaderError {
			break
		}
		if i > 100 {
			t.Fatal("there is no limit")
		}
		for range 101 {
			c.packet()
		}
	}
}

// TestFilesAreNoCommands sends a command among the packets of a file, for a database that may have given up reading it.
func TestFilesAreNoCommands(t *testing.T) {
	t.Parallel()
	drop := []byte("\x03drop table t")
	for name, packets := range map[string][]byte{
		"at once":             mysqlwire.AppendPacket(nil, 0, drop),
		"behind the first":    append(mysqlwire.AppendPacket(nil, 2, []byte("a line\n")), mysqlwire.AppendPacket(nil, 0, drop)...),
		"with a number of it": append(mysqlwire.AppendPacket(nil, 2, []byte("a line\n")), mysqlwire.AppendPacket(nil, 4, drop)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			agent, server := small(t, mysqltest.Options{
				Greeting: func(g *mysqlwire.Greeting) { g.Flags |= mysqlwire.LocalFiles },
				Command: func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
					if strings.HasPrefix(string(body), "load data") {
						close(asked)
						return c.Packets([]byte("\xfbx")) == nil
					}
					return string(got)+string(body) == "a line\n"
				},
			}, func(cfg *enginetest.Config) { cfg.Options.LocalInfile = true })
			logIn(t, agent, all).leave(agent)
			c := logIn(t, agent, all)
			c.do(mysqlwire.ComQuery, "load data local infile 'x' into table t")
			<-asked
			c.write(packets)
			payload, _ := c.packet()
			if got := c.errorOf(payload); !strings.HasPrefix(got, "1835") {
				t.Errorf("got %s", got)
			}
			c.ends()
			if err := agent.Visit(t, 1).Wait(t); !fault.Is(err, fault.BadParameter) {
				t.Errorf("the engine returned %v", err)
			}
			if seen := server.Seen(); slices.Contains(seen, "drop table t") {
				t.Errorf("the database saw %q", seen)
			}
			for _, e := range agent.Visit(t, 1).Journal.Events("db.session.malformed_packet") {
				if payload, _ := base64.StdEncoding.DecodeString(e.Text("payload")); len(payload) > mysqlwire.HeaderSize {
					t.Errorf("recorded %q of a file", payload)
				}
				if wrong := e.Text("error"); wrong != "a packet with a wrong number" {
					t.Errorf("recorded that %q was wrong", wrong)
				}
			}
		})
	}
}

// TestPasswordsOfClientsAreNotRecorded looks for what a person has typed in what is recorded of a handshake that cannot be
// read.
func TestPasswordsOfClientsAreNotRecorded(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	response := func(change func(*mysqlwire.HandshakeResponse)) []byte {
		p := mysqlwire.HandshakeResponse{Flags: mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth, User: "app", Proof: []byte(secret), Method: mysqlwire.ClearPassword}
		change(&p)
		return p.Append(nil)
	}
	for name, packets := range map[string][]byte{
		"attributes that end early":         mysqlwire.AppendPacket(nil, 1, append(bytes.TrimSuffix(response(func(p *mysqlwire.HandshakeResponse) { p.Flags |= mysqlwire.ConnectAttrs }), []byte{0}), 9)),
		"a wrong number":                    mysqlwire.AppendPacket(nil, 3, response(func(*mysqlwire.HandshakeResponse) {})),
		"a wrong number behind the account": append(mysqlwire.AppendPacket(nil, 1, response(func(p *mysqlwire.HandshakeResponse) { p.Proof = nil })), mysqlwire.AppendPacket(nil, 9, []byte(secret))...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mysqltest.Options{})
			c, err := net.Dial("tcp", agent.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write(packets); err != nil {
				t.Fatal(err)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.BadParameter) {
				t.Errorf("the engine returned %v", err)
			}
			events := v.Journal.Events()
			if len(events) != 1 || events[0].Type != "db.session.malformed_packet" {
				t.Fatalf("recorded %v", events)
			}
			if wrong := events[0].Text("error"); !strings.Contains(wrong, "packet number ") && !strings.Contains(wrong, "cannot be read") {
				t.Errorf("recorded that %q was wrong", wrong)
			}
			payload, err := base64.StdEncoding.DecodeString(events[0].Text("payload"))
			if text := string(payload) + sprint(events[0].Fields); err != nil || strings.Contains(text, "hunter") {
				t.Errorf("recorded %q, %v", text, err)
			}
		})
	}
}

// TestExecutionsDependOnWhatCameBefore checks what is remembered of a statement, and what is not.
func TestExecutionsDependOnWhatCameBefore(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, preparing(2))
	c := logIn(t, agent, all)
	p := c.prepare("call p(?, ?)")
	c.ok(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", "b"))
	c.ok(mysqlwire.ComStmtExecute, u32(p.ID)+"\x00"+u32(1)+"\x00\x00\x01c\x01d") // with the types of the one before
	c.write(command(mysqlwire.ComStmtLongData, u32(p.ID)+"\x00\x00piece"))
	c.ok(mysqlwire.ComStmtReset, u32(p.ID)) // which forgets the piece
	c.ok(mysqlwire.ComStmtExecute, execution(p.ID, 0, "e", "f"))
	wantTold(t, c.leave(agent), "TMY00I call p(?, ?) -> 0", "TDB02I call p(?, ?) [a b] -> 0", "TDB02I call p(?, ?) [c d] -> 0", "TMY02I", "TDB02I call p(?, ?) [e f] -> 0")
}

// TestStatementsThatAreGone checks that what is unknown to us does not reach a database that may still know it.
func TestStatementsThatAreGone(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(c *raw, id uint32){
		"closed":                  func(c *raw, id uint32) { c.write(command(mysqlwire.ComStmtClose, u32(id))) },
		"the connection is reset": func(c *raw, _ uint32) { c.ok(mysqlwire.ComResetConnection, "") },
	} {
		executed := make(chan struct{}, 10)
		options := preparing(1)
		prepare := options.Command
		options.Command = func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
			if got == mysqlwire.ComStmtExecute {
				executed <- struct{}{}
			}
			return prepare(c, got, body)
		}
		agent, _ := small(t, options)
		c := logIn(t, agent, all)
		p := c.prepare("select ?")
		gone(c, p.ID)
		if got := c.errorOf(c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a"))); !strings.HasPrefix(got, "1243") {
			t.Errorf("%s: %s", name, got)
		}
		c.leave(agent)
		if len(executed) > 0 {
			t.Errorf("%s: the database got it", name)
		}
	}
}

// TestNumbersOfStatementsAreUsedAnew by a server after a reset, whose answer the client does not wait for.
func TestNumbersOfStatementsAreUsedAnew(t *testing.T) {
	t.Parallel()
	id := uint32(0)
	agent, _ := small(t, mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, _ []byte) bool {
		switch got {
		case mysqlwire.ComStmtPrepare:
			id++
			return c.Packets(preparedWith(id, 0)...) == nil
		case mysqlwire.ComResetConnection:
			id = 0
		}
		return false
	}})
	c := logIn(t, agent, all)
	p := c.prepare("select 'harmless'")
	c.write(slices.Concat(command(mysqlwire.ComResetConnection, ""), command(mysqlwire.ComStmtPrepare, "drop table secrets"), command(mysqlwire.ComStmtExecute, execution(p.ID, 0))))
	for range 3 {
		c.packet()
	}
	wantTold(t, c.leave(agent), "TMY00I select 'harmless' -> 0", "SMY00I reset_connection -> 0", "TMY00I drop table secrets -> 0", "TDB02I drop table secrets -> 0")
}

// TestBulkExecutionsThatNobodyAgreedOn are refused as commands that are not known.
func TestBulkExecutionsThatNobodyAgreedOn(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, preparing(1))
	c := logIn(t, agent, all)
	p := c.prepare("insert into t values (?)")
	if got := c.errorOf(c.do(mysqlwire.ComStmtBulkExecute, u32(p.ID)+"\x80\x00\xfe\x00\x00\x01a")); !strings.HasPrefix(got, "1047") {
		t.Errorf("got %s", got)
	}
	c.ends()
}
