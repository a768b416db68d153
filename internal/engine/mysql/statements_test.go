package mysql_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// known returns an agent before a MariaDB that it has logged in to once, so that it offers all that it can.
func known(t testing.TB, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	agent := front(t, real(t), change...)
	c := connect(t, agent)
	if err := c.exec("create table t (id int auto_increment primary key, name text)"); err != nil {
		t.Fatal(err)
	}
	depart(t, agent, c)
	return agent
}

// wayOf runs a test with the flags of clients of today, and with those of clients of long ago.
func wayOf(t *testing.T, test func(t *testing.T, agent *enginetest.Agent, c *raw)) {
	t.Helper()
	agent := known(t)
	for name, flags := range map[string]mysqlwire.Flags{"of today": all, "of long ago": all &^ (mysqlwire.DeprecateEOF | mysqlwire.SessionTrack | mysqlwire.CacheMetadata)} {
		t.Run(name, func(t *testing.T) { test(t, agent, logIn(t, agent, flags)) })
	}
}

// leave says goodbye and returns what was recorded.
func (r *raw) leave(agent *enginetest.Agent) *enginetest.Visit {
	r.t.Helper()
	r.write(command(mysqlwire.ComQuit, ""))
	v := agent.Visit(r.t, len(agent.Visits())-1)
	if err := v.Wait(r.t); err != nil {
		r.t.Fatalf("the session ended with %v", err)
	}
	return v
}

func TestValuesSentInPieces(t *testing.T) {
	t.Parallel()
	wayOf(t, func(t *testing.T, agent *enginetest.Agent, c *raw) {
		p := c.prepare("select ?, ?")
		c.write(command(mysqlwire.ComStmtLongData, u32(p.ID)+"\x01\x00one "))
		c.write(command(mysqlwire.ComStmtLongData, u32(p.ID)+"\x01\x00value"))
		if first := c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", long)); first[0] != 2 {
			t.Fatalf("got %q", first)
		}
		if n := c.rows(); n != 1 {
			t.Errorf("%d rows", n)
		}
		// They are used up now.
		c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a", "b"))
		c.rows()
		c.write(command(mysqlwire.ComStmtClose, u32(p.ID)))
		v := c.leave(agent)
		wantTold(t, v, "TMY00I select ?, ? -> 0", "TMY02I", "TMY02I", "TDB02I select ?, ? [a <nil>] -> 1", "TDB02I select ?, ? [a b] -> 1")
		pieces := v.Journal.Events("db.session.mysql.statements.send_long_data")
		if pieces[1].Text("data") != "dmFsdWU=" || pieces[1].Number("data_size") != 5 || pieces[1].Number("parameter_id") != 1 {
			t.Errorf("a piece was recorded as %v", pieces[1].Fields)
		}
	})
}

func TestRowsFetchedApart(t *testing.T) {
	t.Parallel()
	wayOf(t, func(t *testing.T, agent *enginetest.Agent, c *raw) {
		p := c.prepare("select 1 union select 2 union select 3")
		c.do(mysqlwire.ComStmtExecute, execution(p.ID, 1))
		for range p.Columns {
			c.packet()
		}
		c.packet() // the end of the definitions, and of the answer
		for _, want := range []int{2, 1} {
			c.write(command(mysqlwire.ComStmtFetch, u32(p.ID)+u32(2)))
			n := 0
			for {
				payload, _ := c.packet()
				if payload[0] == mysqlwire.HeaderEOF {
					break
				}
				n++
			}
			if n != want {
				t.Errorf("%d rows, want %d", n, want)
			}
		}
		c.ok(mysqlwire.ComStmtReset, u32(p.ID))
		wantTold(t, c.leave(agent), "TMY00I select 1 union select 2 union select 3 -> 0", "TDB02I select 1 union select 2 union select 3 -> 0", "TMY05I 2 -> 2", "TMY05I 2 -> 1")
	})
}

func TestTheStatementPreparedLast(t *testing.T) {
	t.Parallel()
	wayOf(t, func(t *testing.T, agent *enginetest.Agent, c *raw) {
		const last = mysqlwire.LastStatement
		c.write(append(command(mysqlwire.ComStmtPrepare, "select ?"), command(mysqlwire.ComStmtExecute, execution(last, 0, "x"))...))
		p := c.prepared()
		c.packet()
		if n := c.rows(); n != 1 {
			t.Errorf("%d rows", n)
		}
		// One that cannot be prepared cannot be executed, and neither is the one before it.
		c.write(append(command(mysqlwire.ComStmtPrepare, "selekt ?"), command(mysqlwire.ComStmtExecute, execution(last, 0, "x"))...))
		first, _ := c.packet()
		second, _ := c.packet()
		if got := c.errorOf(first) + c.errorOf(second); !strings.Contains(got, "1064") || !strings.Contains(got, "1243") {
			t.Errorf("got %s", got)
		}
		c.write(command(mysqlwire.ComStmtClose, u32(p.ID)))
		if got := c.errorOf(c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "x"))); !strings.HasPrefix(got, "1243 HY000 Unknown prepared statement handler") {
			t.Errorf("a closed statement: %s", got)
		}
		got := told(t, c.leave(agent))
		if len(got) != 5 || got[1] != "TDB02I select ? [x] -> 1" || !strings.HasPrefix(got[3], "TDB02W  Unknown prepared statement handler") || !strings.HasPrefix(got[4], "TDB02W") {
			t.Errorf("recorded %q", got)
		}
	})
}

func TestManyRowsInOneExecution(t *testing.T) {
	t.Parallel()
	wayOf(t, func(t *testing.T, agent *enginetest.Agent, c *raw) {
		p := c.prepare("insert into t (id, name) values (?, ?)")
		c.ok(mysqlwire.ComStmtBulkExecute, u32(p.ID)+"\x80\x00\x03\x00\xfe\x00"+
			"\x02\x00\x03Ada"+"\x02\x01"+"\x00\x2a\x01\x00\x00\x00\x05Grace")
		wantTold(t, c.leave(agent), "TMY00I insert into t (id, name) values (?, ?) -> 0",
			"TMY06I insert into t (id, name) values (?, ?) [DEFAULT Ada DEFAULT <nil> 298 Grace] 3 -> 3")
		_ = connect(t, agent).exec("truncate t")
	})
}

func TestCommandsBesideStatements(t *testing.T) {
	t.Parallel()
	wayOf(t, func(t *testing.T, agent *enginetest.Agent, c *raw) {
		c.ok(mysqlwire.ComPing, "")
		for _, gone := range []mysqlwire.Command{mysqlwire.ComCreateDB, mysqlwire.ComDropDB} {
			if got := c.errorOf(c.do(gone, "extra")); !strings.HasPrefix(got, "1047") { // servers of today have lost it
				t.Errorf("command %#x: %s", gone, got)
			}
		}
		c.ok(mysqlwire.ComInitDB, "mysql")
		c.ok(mysqlwire.ComInitDB, "orders")
		c.write(command(mysqlwire.ComFieldList, "t\x00"))
		for {
			if payload, _ := c.packet(); payload[0] == mysqlwire.HeaderEOF {
				break
			}
		}
		if stats := c.do(mysqlwire.ComStatistics, ""); !strings.HasPrefix(string(stats), "Uptime") {
			t.Errorf("got %q", stats)
		}
		c.ok(mysqlwire.ComSetOption, "\x01\x00")
		if got := c.errorOf(c.do(mysqlwire.ComQuery, "select 1; select 2")); !strings.HasPrefix(got, "1064") {
			t.Errorf("two statements with the option off: %s", got)
		}
		c.ok(mysqlwire.ComSetOption, "\x00\x00")
		c.do(mysqlwire.ComProcessInfo, "")
		c.rows()
		c.ok(mysqlwire.ComRefresh, "\x04")
		c.ok(mysqlwire.ComDebug, "")
		if got := c.errorOf(c.do(mysqlwire.ComProcessKill, u32(999_999))); !strings.HasPrefix(got, "1094") {
			t.Errorf("killing nobody: %s", got)
		}
		p := c.prepare("select 1")
		c.ok(mysqlwire.ComResetConnection, "")
		if got := c.errorOf(c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0))); !strings.HasPrefix(got, "1243") {
			t.Errorf("a statement from before the reset: %s", got)
		}
		v := c.leave(agent)
		lines := told(t, v)
		for i, line := range lines {
			if before, _, ok := strings.Cut(line, " -> "); ok && (strings.HasPrefix(line, "SMY00I process_info") || strings.HasPrefix(line, "TDB02I select 1; select 2")) {
				lines[i] = before
			}
		}
		want := []string{
			"TMY08I extra -> ERROR 1047 (08S01): Unknown command", "TMY09I extra -> ERROR 1047 (08S01): Unknown command", "TMY07I mysql -> 0", "TMY07I orders -> 0", "SMY00I field_list t\x00 -> 0", "SMY00I statistics -> 0",
			"SMY00I set_option multi_statements_off -> 0", "TDB02I select 1; select 2", "SMY00I set_option multi_statements_on -> 0", "SMY00I process_info",
			"TMY13I REFRESH_TABLES -> 0", "TMY12I -> 0", "TMY11I 999999 -> ERROR 1094 (HY000): Unknown thread id: 999999",
			"TMY00I select 1 -> 0", "SMY00I reset_connection -> 0",
		}
		if got := strings.Join(lines[:len(lines)-1], "\n"); got != strings.Join(want, "\n") {
			t.Errorf("recorded:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
		names := map[string]string{}
		for _, e := range v.Journal.Events() {
			names[e.Code+e.Text("schema_name")] = e.Text("db_name")
		}
		if names["TMY07Iorders"] != "mysql" || names["SMY00I"] != "orders" {
			t.Errorf("logical databases of the events: %v", names)
		}
	})
}

// TestUseIsFollowed also by what is sent before the database has answered.
func TestUseIsFollowed(t *testing.T) {
	t.Parallel()
	agent := known(t)
	for name, test := range map[string]struct {
		before []string
		sent   []byte
		want   string // the logical database of what follows
	}{
		"a command":                         {nil, command(mysqlwire.ComInitDB, "mysql"), "mysql"},
		"a text":                            {nil, command(mysqlwire.ComQuery, "use mysql"), "mysql"},
		"text in quotes":                    {nil, command(mysqlwire.ComQuery, "execute immediate 'Use mysql'"), "mysql"},
		"put together":                      {nil, command(mysqlwire.ComQuery, "Execute immediate concat('us', 'e mysql')"), "mysql"},
		"behind comments":                   {nil, command(mysqlwire.ComQuery, "/* to */ -- where\nUSE`mysql`"), "mysql"},
		"in a long text":                    {nil, command(mysqlwire.ComQuery, strings.Repeat(" ", 70_000)+"use mysql"), "mysql"},
		"a procedure":                       {[]string{"create procedure go() execute immediate 'use mysql'"}, command(mysqlwire.ComQuery, "CALL go()"), "mysql"},
		"a text that replaces the database": {[]string{"create database other", "use other"}, command(mysqlwire.ComQuery, "create or replace Database other"), ""},
		"a text that drops the database":    {[]string{"create database gone", "use gone"}, command(mysqlwire.ComQuery, "Drop schema gone"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := logIn(t, agent, all)
			for _, text := range test.before {
				c.ok(mysqlwire.ComQuery, text)
			}
			c.write(append(test.sent, command(mysqlwire.ComQuery, "do 1")...))
			for range 2 {
				if payload, _ := c.packet(); payload[0] != mysqlwire.HeaderOK {
					t.Fatalf("answered with %q", payload)
				}
			}
			events := c.leave(agent).Journal.Events("db.session.query")
			if last := events[len(events)-1]; last.Text("db_query") != "do 1" || last.Text("db_name") != test.want {
				t.Errorf("%s was recorded in %q", last.Text("db_query"), last.Text("db_name"))
			}
		})
	}
}

// TestNoAnswerWithinAPacket has the database's last packet of an answer arrive in two pieces, while one of the agent's own
// answers waits for its turn.
func TestNoAnswerWithinAPacket(t *testing.T) {
	t.Parallel()
	rest := make(chan struct{})
	answer := mysqlwire.AppendPacket(nil, 1, []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	answer = mysqlwire.AppendPacket(answer, 2, mysqltest.Column(strings.Repeat("n", 60)))
	half := len(answer) - 30
	agent, _ := small(t, mysqltest.Options{
		Greeting: func(g *mysqlwire.Greeting) { g.Flags |= mysqlwire.DeprecateEOF },
		Command: func(c *mysqltest.Conn, got mysqlwire.Command, _ []byte) bool {
			if got != mysqlwire.ComStmtPrepare {
				return false
			}
			if _, err := c.Write(answer[:half]); err != nil {
				return false
			}
			<-rest
			_, err := c.Write(answer[half:])
			return err == nil
		}})
	warm := connect(t, agent)
	_ = warm.Close()
	c := logIn(t, agent, all)
	c.write(append(command(mysqlwire.ComStmtPrepare, "select 1"), command(mysqlwire.ComStmtExecute, execution(99, 0))...))
	got := make([]byte, half)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, answer[:half]) {
		t.Fatalf("%v, read %q", err, got)
	}
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %q within the packet, %v", got[:n], err)
	}
	if err := c.SetReadDeadline(time.Now().Add(enginetest.Patience)); err != nil {
		t.Fatal(err)
	}
	close(rest)
	if _, err := io.ReadFull(c, got[:len(answer)-half]); err != nil || !bytes.Equal(got[:len(answer)-half], answer[half:]) {
		t.Fatalf("%v, read %q", err, got)
	}
	if payload, sequence := c.packet(); sequence != 1 || !strings.HasPrefix(c.errorOf(payload), "1243 ") {
		t.Errorf("read packet %d, %q", sequence, payload)
	}
}
