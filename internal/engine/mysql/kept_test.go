package mysql_test

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/mysqlwire"
)

const roomy = 1 << 20 // bytes for what all sessions of a test's user keep

// cramped has an engine with little room for statements of all sessions.
func cramped(cfg *enginetest.Config) {
	cfg.Engine = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKeptByAll: 2 * roomy})
}

// TestStatementsOfOthersTakeTheRoom has one session keep nearly all that all together may, and frees that in several ways.
func TestStatementsOfOthersTakeTheRoom(t *testing.T) {
	t.Parallel()
	large := "select 1 /* " + strings.Repeat("x", roomy-100<<10) + " */"
	for way, free := range map[string]func(agent *enginetest.Agent, first *raw, id uint32, panics *atomic.Bool){
		"the statement is closed": func(_ *enginetest.Agent, first *raw, id uint32, _ *atomic.Bool) {
			first.write(command(mysqlwire.ComStmtClose, u32(id)))
			first.ok(mysqlwire.ComPing, "")
		},
		"the session is reset": func(_ *enginetest.Agent, first *raw, _ uint32, _ *atomic.Bool) {
			first.ok(mysqlwire.ComResetConnection, "")
		},
		"the client says goodbye": func(agent *enginetest.Agent, first *raw, _ uint32, _ *atomic.Bool) {
			first.write(command(mysqlwire.ComQuit, ""))
			_ = agent.Visit(t, 0).Wait(t)
		},
		"the client vanishes": func(agent *enginetest.Agent, first *raw, _ uint32, _ *atomic.Bool) {
			_ = first.Close()
			_ = agent.Visit(t, 0).Wait(t)
		},
		"the session panics": func(agent *enginetest.Agent, first *raw, _ uint32, panics *atomic.Bool) {
			panics.Store(true)
			first.write(command(mysqlwire.ComQuery, "do 1"))
			if err := agent.Visit(t, 0).Wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
				t.Errorf("the first session ended with %v", err)
			}
			panics.Store(false)
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var panics atomic.Bool
			agent, _ := small(t, preparing(0), func(cfg *enginetest.Config) {
				cfg.Engine = mysql.New(mysql.Config{Logger: slog.New(slog.DiscardHandler), MaxKeptByAll: 2 * roomy, Now: func() time.Time {
					if panics.Load() {
						panic("on purpose")
					}
					return time.Now()
				}})
			})
			first := logIn(t, agent, all)
			id := first.prepare(large).ID
			second := logIn(t, agent, all)
			if got := second.errorOf(second.do(mysqlwire.ComStmtPrepare, large)); !strings.HasPrefix(got, "1461 42000 the agent keeps as much of prepared statements as it can") {
				t.Fatalf("the second session heard %s", got)
			}
			second.prepare("select 2") // which is little
			free(agent, first, id, &panics)
			second.prepare(large)
		})
	}
}

// TestAPreparationIsRefused at MariaDB: what is about the statement prepared last is not about the one before.
func TestAPreparationIsRefused(t *testing.T) {
	t.Parallel()
	const last = mysqlwire.LastStatement
	agent := known(t, cramped)
	c := logIn(t, agent, all)
	p := c.prepare("select ?")
	large := "select ? /* " + strings.Repeat("x", 2*roomy) + " */"
	// All in one write, so that its answer comes in its turn.
	c.write(append(command(mysqlwire.ComQuery, "do 1"), command(mysqlwire.ComStmtPrepare, large)...))
	if payload, _ := c.packet(); payload[0] != mysqlwire.HeaderOK {
		t.Fatalf("the command before was answered with %q", payload)
	}
	if payload, _ := c.packet(); !strings.HasPrefix(c.errorOf(payload), "1461 42000") {
		t.Fatalf("the preparation was answered with %q", payload)
	}
	c.write(append(command(mysqlwire.ComPing, ""), command(mysqlwire.ComStmtLongData, u32(last)+"\x00\x00other")...))
	c.packet()
	for _, about := range []mysqlwire.Command{mysqlwire.ComStmtReset, mysqlwire.ComStmtFetch, mysqlwire.ComStmtExecute, mysqlwire.ComStmtBulkExecute} {
		if got := c.errorOf(c.do(about, u32(last)+u32(1))); !strings.HasPrefix(got, "1243 HY000") {
			t.Errorf("command %#x about the statement that was refused: %s", about, got)
		}
	}
	c.write(command(mysqlwire.ComStmtClose, u32(last)))
	c.do(mysqlwire.ComStmtExecute, execution(p.ID, 0, "a"))
	if n := c.rows(); n != 1 {
		t.Errorf("%d rows", n)
	}
	c.prepare("select ?, ?")
	c.do(mysqlwire.ComStmtExecute, execution(last, 0, "b", "c"))
	c.rows()
	v := c.leave(agent)
	failed := v.Journal.Events("db.session.query.failed")
	if len(failed) != 5 || failed[0].Text("db_query")[:20] != large[:20] || !strings.Contains(failed[0].Text("error"), "close those that are not needed") {
		t.Errorf("recorded as failed: %.1000v", failed)
	}
	if got := v.Journal.Events("db.session.mysql.statements.send_long_data"); len(got) != 0 {
		t.Errorf("a piece that was not passed on was recorded as %v", got[0].Fields)
	}
	got := told(t, v)
	if got[len(got)-1] != "TDB02I select ?, ? [b c] -> 1" || got[len(got)-3] != "TDB02I select ? [a] -> 1" {
		t.Errorf("recorded in the end: %q", got[len(got)-3:])
	}
}

// TestExecutionsWithVeryManyValues are refused: each of their values takes a byte of the message, and many in memory.
func TestExecutionsWithVeryManyValues(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	agent, _ := small(t, answeringBulk(), look(t))
	for values, want := range map[int]string{limit: "", limit + 1: "1153 08S01 an execution of a statement has more than 4194304 values"} {
		c := logIn(t, agent, all)
		p := c.prepare("insert into t values (?)")
		c.write(command(mysqlwire.ComStmtBulkExecute, u32(p.ID)+"\x80\x00\x01\x00"+strings.Repeat("\x01", values)))
		got, _ := c.packet()
		switch {
		case want == "" && got[0] != mysqlwire.HeaderOK:
			t.Errorf("%d values were answered with %.100q", values, got)
		case want != "" && !strings.HasPrefix(c.errorOf(got), want):
			t.Errorf("%d values were answered with %s", values, c.errorOf(got))
		}
		_ = c.Close()
	}
}

// TestARefusedPreparationGivesBackItsPartOfTheBudget for messages that are under way.
func TestARefusedPreparationGivesBackItsPartOfTheBudget(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, preparing(0), func(cfg *enginetest.Config) {
		cfg.Engine = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKeptByAll: roomy, MaxLarge: 3 << 20, LargeWait: enginetest.Patience})
	})
	large := "select 1 /* " + strings.Repeat("x", 2<<20) + " */"
	for range 2 {
		c := logIn(t, agent, all)
		if got := c.errorOf(c.do(mysqlwire.ComStmtPrepare, large)); !strings.HasPrefix(got, "1461 ") {
			t.Errorf("a preparation was answered with %s", got)
		}
	}
}

// TestMessagesInSeveralPacketsDoNotWaitForEachOther has two arrive at the same time that have room one after the other.
func TestMessagesInSeveralPacketsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "set global max_allowed_packet = 64 * 1024 * 1024")
	agent := front(t, server, func(cfg *enginetest.Config) {
		cfg.Engine = mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2 * 100 << 20, LargeWait: enginetest.Patience})
	})
	message := inPackets(append([]byte{byte(mysqlwire.ComQuery)}, "do 1 /* "+strings.Repeat("x", 20<<20)+" */"...))
	var sending sync.WaitGroup
	for range 2 {
		c := logIn(t, agent, all)
		sending.Go(func() {
			for part := range slices.Chunk(message, 256<<10) { // of both in turn
				if _, err := c.Write(part); err != nil {
					t.Error(err)
					return
				}
			}
			payload, _ := c.packet()
			if payload[0] != mysqlwire.HeaderOK {
				t.Errorf("one was answered with %q", payload)
			}
		})
	}
	sending.Wait()
}
