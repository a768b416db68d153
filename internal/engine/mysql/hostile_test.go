package mysql_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// TestEveryCommand sends each command that a byte can name, and checks that none reaches the database unrecorded. Those
// with an answer here have a meaning; all others are refused.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	passed := map[mysqlwire.Command]struct{ body, recorded string }{
		mysqlwire.ComInitDB: {"x", "TMY07I x"}, mysqlwire.ComQuery: {"select 1", "TDB02I select 1"}, mysqlwire.ComFieldList: {"t\x00", "SMY00I field_list t\x00"},
		mysqlwire.ComCreateDB: {"x", "TMY08I x"}, mysqlwire.ComDropDB: {"x", "TMY09I x"}, mysqlwire.ComRefresh: {"\x24", "TMY13I REFRESH_TABLES REFRESH_THREADS"},
		mysqlwire.ComShutdown: {"", "TMY10I"}, mysqlwire.ComStatistics: {"", "SMY00I statistics"}, mysqlwire.ComProcessInfo: {"", "SMY00I process_info"},
		mysqlwire.ComProcessKill: {"\x05\x00\x00\x00", "TMY11I 5"}, mysqlwire.ComDebug: {"", "TMY12I"}, mysqlwire.ComPing: {"", ""},
		mysqlwire.ComStmtPrepare: {"select 1", "TMY00I select 1"}, mysqlwire.ComStmtReset: {"\x01\x00\x00\x00", ""}, mysqlwire.ComStmtClose: {"\x01\x00\x00\x00", ""},
		mysqlwire.ComStmtLongData: {"\x01\x00\x00\x00\x00\x00x", "TMY02I"}, mysqlwire.ComSetOption: {"\x00\x00", "SMY00I set_option multi_statements_on"},
		mysqlwire.ComStmtFetch: {"\x01\x00\x00\x00\x02\x00\x00\x00", "TMY05I 2"}, mysqlwire.ComResetConnection: {"", "SMY00I reset_connection"},
	}
	for b := range 256 {
		c := mysqlwire.Command(b)
		if c == mysqlwire.ComQuit {
			continue
		}
		t.Run(fmt.Sprintf("%#02x", b), func(t *testing.T) {
			t.Parallel()
			reached := make(chan string, 10)
			agent, _ := small(t, mysqltest.Options{Command: func(_ *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
				reached <- string(append([]byte{byte(got)}, body...))
				return false
			}})
			client := logIn(t, agent, all)
			known, ok := passed[c]
			client.write(command(c, known.body))
			v := agent.Visit(t, 0)
			if ok {
				if got := <-reached; got != string([]byte{byte(c)})+known.body {
					t.Errorf("the database got %q", got)
				}
				lines := told(t, v)
				first := ""
				if len(lines) > 0 {
					first, _, _ = strings.Cut(lines[0], " -> ")
				}
				if first != known.recorded {
					t.Errorf("recorded %q, want %q", lines, known.recorded)
				}
				return
			}
			payload, _ := client.packet()
			refusal := client.errorOf(payload)
			client.ends()
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			lines := told(t, v)
			if len(lines) != 1 || !strings.HasPrefix(lines[0], "SMY00W") && !strings.HasPrefix(lines[0], "TDB06I") {
				t.Errorf("recorded %q; the client read %s", lines, refusal)
			}
			select {
			case got := <-reached:
				t.Errorf("the database got %q", got)
			default:
			}
		})
	}
}

// TestTheAccountCannotBeChanged is an attempt to become another account whose certificate is not asked for again.
func TestTheAccountCannotBeChanged(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "create user other require x509")
	agent := front(t, server)
	c := logIn(t, agent, all)
	payload := c.do(mysqlwire.ComChangeUser, "other\x00\x00orders\x00\x2d\x00mysql_native_password\x00")
	if got := c.errorOf(payload); !strings.HasPrefix(got, "1235 42000") || !strings.Contains(got, "connect again with the other account") {
		t.Errorf("got %s", got)
	}
	c.ends()
	v := agent.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
	events := v.Journal.Events("db.session.mysql.command")
	if len(events) != 1 || events[0].Code != "SMY00W" || events[0].Text("argument") != "other" || events[0].Flag("success") {
		t.Errorf("recorded %v", events)
	}
	if log := server.Statements(t); strings.Contains(log, "Change user") || strings.Contains(log, "other@") {
		t.Errorf("the database got it:\n%s", log)
	}
}

// TestPacketsOfClients checks that nothing of what cannot be read is passed on, and that it is recorded.
func TestPacketsOfClients(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"a wrong number":                        mysqlwire.AppendPacket(nil, 1, []byte("\x03select 1")),
		"an empty command":                      {0, 0, 0, 0},
		"an execution that is too short":        command(mysqlwire.ComStmtExecute, "\x01\x00"),
		"an execution of a statement cut short": append(command(mysqlwire.ComStmtPrepare, "two"), command(mysqlwire.ComStmtExecute, execution(mysqlwire.LastStatement, 0, "only one"))...),
		"a type that does not exist":            append(command(mysqlwire.ComStmtPrepare, "two"), command(mysqlwire.ComStmtExecute, u32(mysqlwire.LastStatement)+"\x00"+u32(1)+"\x00\x01\x77\x00\x77\x00")...),
		"a length beyond the packet":            append(command(mysqlwire.ComStmtPrepare, "two"), command(mysqlwire.ComStmtExecute, u32(mysqlwire.LastStatement)+"\x00"+u32(1)+"\x00\x01\xfe\x00\xfe\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff")...),
		"a piece of a value that is not there":  append(command(mysqlwire.ComStmtPrepare, "two"), command(mysqlwire.ComStmtLongData, u32(mysqlwire.LastStatement)+"\x07\x00x")...),
		"a kill without a number":               command(mysqlwire.ComProcessKill, "\x01"),
		"a fetch without a number":              command(mysqlwire.ComStmtFetch, "\x01\x00\x00\x00"),
		"the bytes of compression":              {0x0b, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 's', 'e', 'l'},
		"more rows than were agreed on":         append(command(mysqlwire.ComStmtPrepare, "two"), command(mysqlwire.ComStmtBulkExecute, u32(mysqlwire.LastStatement)+"\x80\x00\x03\x00\x03\x00\x00\x01\x00\x00\x00")...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
				switch got {
				case mysqlwire.ComStmtPrepare:
					column := mysqltest.Column("?")
					_ = c.Packets([]byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0}, column, column, []byte{0xfe, 0, 0, 2, 0})
				case mysqlwire.ComQuit:
				default:
					t.Errorf("the database got command %#x, %q", got, body)
				}
				return true
			}})
			c := logIn(t, agent, all)
			c.write(bytes)
			for {
				payload, _, err := mysqlwire.ReadPacket(c, 1<<20)
				if err != nil {
					t.Fatalf("no error was told: %v", err)
				}
				if payload[0] == mysqlwire.HeaderError {
					break
				}
			}
			c.ends()
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			events := v.Journal.Events("db.session.malformed_packet", "db.session.mysql.command")
			if len(events) != 1 {
				t.Fatalf("%d events of it", len(events))
			}
			if events[0].Type == "db.session.malformed_packet" && events[0].Text("error") == "" {
				t.Error("what was wrong is not recorded")
			}
			if seen := server.Seen(); len(seen) != 0 {
				t.Errorf("the database saw %q", seen)
			}
		})
	}
}

// TestRowsMayBeginWithAnyByte checks that nothing of a row is taken for something else.
func TestRowsMayBeginWithAnyByte(t *testing.T) {
	t.Parallel()
	for _, flags := range []mysqlwire.Flags{0, mysqlwire.DeprecateEOF} {
		agent, _ := small(t, mysqltest.Options{
			Greeting: func(g *mysqlwire.Greeting) { g.Flags |= flags },
			Command: func(c *mysqltest.Conn, got mysqlwire.Command, body []byte) bool {
				if got != mysqlwire.ComQuery {
					return false
				}
				end := []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}
				if c.Account.Flags&mysqlwire.DeprecateEOF != 0 {
					end = []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0, 0, 0}
				}
				packets := [][]byte{{1}, mysqltest.Column("c")}
				if c.Account.Flags&mysqlwire.DeprecateEOF == 0 {
					packets = append(packets, end)
				}
				if c.Account.Flags&mysqlwire.DeprecateEOF == 0 { // a length in eight bytes, where fewer would do
					packets = append(packets, append([]byte{0xfe, 11, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 11)...))
				} else {
					packets = append(packets, make([]byte, 20))
				}
				for b := range 0xfe {
					packets = append(packets, append([]byte{byte(b)}, make([]byte, 20)...))
				}
				return c.Packets(append(packets, end)...) == nil
			}})
		warm := connect(t, agent)
		_ = warm.Close()
		c := logIn(t, agent, all)
		if c.flags&mysqlwire.DeprecateEOF != flags {
			t.Fatalf("flags %#x were agreed on", c.flags)
		}
		for range 2 {
			c.do(mysqlwire.ComQuery, "select c")
			if n := c.rows(); n != 0xff {
				t.Errorf("%d rows", n)
			}
		}
		results := c.leave(agent).Journal.Events("db.session.result")
		if len(results) != 2 || results[0].Number("affected_records") != 0xff || results[0].Number("db_connection_id") != mysqltest.Connection {
			t.Errorf("recorded %v", results)
		}
	}
}

func TestServersThatDoNotFollowTheProtocol(t *testing.T) {
	t.Parallel()
	ok := mysqlwire.AppendOK(nil, 2)
	for name, c := range map[string]struct {
		answer [][]byte
		local  bool // LOCAL INFILE is allowed
		text   string
	}{
		"a wish for a file that is not allowed":        {[][]byte{[]byte("\xfb/etc/passwd")}, false, "load data local infile '/etc/passwd' into table t"},
		"a wish for a file that nobody spoke of":       {[][]byte{[]byte("\xfb/etc/passwd")}, true, "select 1"},
		"a wish for another file":                      {[][]byte{[]byte("\xfb/etc/passwd")}, true, "load data local infile '/tmp/x' into table t"},
		"a wish for a file that is named in a text":    {[][]byte{[]byte("\xfb/etc/passwd")}, true, "select 'load data local infile ''/etc/passwd'''"},
		"a wish for a file that is named in a comment": {[][]byte{[]byte("\xfb/etc/passwd")}, true, "select 1 /* load data local infile '/etc/passwd' */"},
		"a wish for a file on the server":              {[][]byte{[]byte("\xfb/etc/passwd")}, true, "load data infile '/etc/passwd' into table t"},
		"two answers to one statement":                 {[][]byte{ok, ok}, false, "select 1"},
		"a wish to change the method":                  {[][]byte{[]byte("\xfemysql_clear_password\x00")}, false, "select 1"},
		"more columns than there can be":               {[][]byte{{0xfd, 0xff, 0xff, 0xff}}, false, "select 1"},
		"a number of columns with something behind it": {[][]byte{{1, 1, 1}}, false, "select 1"},
		"a packet without a byte":                      {[][]byte{{}}, false, "select 1"},
		"rows behind definitions that do not end":      {[][]byte{{1}, mysqltest.Column("c"), {1, 'x'}}, false, "select 1"},
		"an OK that is cut off":                        {[][]byte{{0, 0}}, false, "select 1"},
		"an OK whose number is cut off":                {[][]byte{{0, 0xfe, 1}}, false, "select 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mysqltest.Options{
				Greeting: func(g *mysqlwire.Greeting) { g.Flags |= mysqlwire.LocalFiles },
				Command: func(conn *mysqltest.Conn, _ mysqlwire.Command, _ []byte) bool {
					return conn.Packets(c.answer...) == nil
				},
			}, func(cfg *enginetest.Config) { cfg.Options.LocalInfile = c.local })
			warm := logIn(t, agent, all)
			warm.write(command(mysqlwire.ComQuit, ""))
			client := logIn(t, agent, all)
			if allowed := client.flags&mysqlwire.LocalFiles != 0; allowed != c.local {
				t.Fatalf("files of the client are offered: %v", allowed)
			}
			client.write(command(mysqlwire.ComQuery, c.text))
			for {
				payload, _, err := mysqlwire.ReadPacket(client, 1<<20)
				if err != nil {
					t.Fatalf("no error was told: %v", err)
				}
				if payload[0] == mysqlwire.HeaderFile {
					t.Fatal("the client was asked for a file")
				}
				if payload[0] == mysqlwire.HeaderError {
					if got := client.errorOf(payload); !strings.Contains(got, "the database sent a packet that does not belong here") {
						t.Errorf("got %s", got)
					}
					break
				}
			}
			client.ends()
			if err := agent.Visit(t, 1).Wait(t); !fault.Is(err, fault.ConnectionProblem) {
				t.Errorf("the engine returned %v", err)
			}
		})
	}
}

func TestMessagesInSeveralPackets(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "set global max_allowed_packet = 64 * 1024 * 1024; create table orders.large (v longtext)")
	agent := front(t, server)
	c := connect(t, agent)
	_ = c.Close()
	client := logIn(t, agent, all)
	text := "insert into large values ('" + strings.Repeat("x", 20<<20) + "')"
	client.write(inPackets(append([]byte{byte(mysqlwire.ComQuery)}, text...)))
	if payload, _ := client.packet(); payload[0] != mysqlwire.HeaderOK {
		t.Fatalf("got %q", payload)
	}
	// A row in two packets, of which the second may look like anything.
	client.write(command(mysqlwire.ComQuery, "select v from large"))
	if n := client.longRow(); n < 20<<20 {
		t.Errorf("the row has %d bytes", n)
	}
	v := client.leave(agent)
	query := v.Journal.Events("db.session.query")[0]
	if got := len(query.Text("db_query")); got != len(text) {
		t.Errorf("%d bytes of the text were recorded, want %d", got, len(text))
	}
	if got := server.Exec(t, "select length(v) from orders.large"); got != fmt.Sprint(20<<20) {
		t.Errorf("the database has %s bytes", got)
	}
	results := v.Journal.Events("db.session.result")
	if results[1].Number("affected_records") != 1 {
		t.Errorf("recorded %v", results[1].Fields)
	}
}

func inPackets(payload []byte) (packets []byte) {
	for sequence := byte(0); ; sequence++ {
		n := min(len(payload), mysqlwire.MaxPayload)
		packets = append(packets, byte(n), byte(n>>8), byte(n>>16), sequence)
		packets = append(packets, payload[:n]...)
		if payload = payload[n:]; n < mysqlwire.MaxPayload {
			return packets
		}
	}
}

// longRow reads an answer with rows and returns the bytes of their packets.
func (r *raw) longRow() (total int) {
	r.t.Helper()
	for i := 0; ; i++ {
		var header [mysqlwire.HeaderSize]byte
		r.full(header[:])
		size, _ := mysqlwire.Size(header[:])
		payload := make([]byte, size)
		r.full(payload)
		if i > 1 && payload[0] == mysqlwire.HeaderEOF && size < 100 {
			return total
		}
		if i > 1 {
			total += size
		}
	}
}

func TestAMessageThatIsTooLarge(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mysqltest.Options{})
	c := logIn(t, agent, all)
	text := "select '" + strings.Repeat("x", 65<<20) + "'"
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Conn.Write(inPackets(append([]byte{byte(mysqlwire.ComQuery)}, text...)))
	}()
	payload, _ := c.packet()
	if got := c.errorOf(payload); !strings.HasPrefix(got, "1153 08S01") {
		t.Errorf("got %s", got)
	}
	<-done
	v := agent.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("the engine returned %v", err)
	}
	events := v.Journal.Events("db.session.query.failed")
	if len(events) != 1 || !strings.HasPrefix(events[0].Text("db_query"), "select 'xxx") || events[0].Number("message_size") != int64(len(text)+1) || len(events[0].Text("message_sha256")) != 64 {
		t.Errorf("recorded %v", events)
	}
	if seen := server.Seen(); len(seen) != 0 {
		t.Error("the database saw it")
	}
}

// TestSessionsKeepABoundedNumberOfStatements checks the limit of prepared statements.
func TestSessionsKeepABoundedNumberOfStatements(t *testing.T) {
	t.Parallel()
	var id uint32
	agent, _ := small(t, mysqltest.Options{Command: func(c *mysqltest.Conn, got mysqlwire.Command, _ []byte) bool {
		if got != mysqlwire.ComStmtPrepare {
			return false
		}
		id++
		return c.Packets(append(binary.LittleEndian.AppendUint32([]byte{0}, id), 0, 0, 0, 0, 0, 0, 0)) == nil
	}})
	c := logIn(t, agent, all)
	for i := range 1024 {
		if payload := c.do(mysqlwire.ComStmtPrepare, "select 1"); payload[0] != mysqlwire.HeaderOK {
			t.Fatalf("statement %d: %q", i, payload)
		}
	}
	if got := c.errorOf(c.do(mysqlwire.ComStmtPrepare, "select 1")); !strings.Contains(got, "more than 1024 prepared statements") {
		t.Errorf("got %s", got)
	}
}
