package mysql_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// crowded has the user's roles allow one connection.
func crowded(cfg *enginetest.Config) {
	cfg.Crowded = func(n int) error {
		if n == 0 {
			return nil
		}
		return fault.New(fault.LimitExceeded, "your roles allow 1 database connections at a time")
	}
}

// refusedOnce fails unless the visit was recorded as a refused login, and nothing else.
func refusedOnce(t *testing.T, v *enginetest.Visit) {
	t.Helper()
	if err := v.Wait(t); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("the engine returned %v", err)
	}
	if events := v.Journal.Events(); len(events) != 1 || events[0].Code != "TDB00W" {
		t.Errorf("recorded %v", events)
	}
}

func wantCrowded(t *testing.T, agent *enginetest.Agent, account string) {
	t.Helper()
	n := len(agent.Visits())
	if _, err := dial(t, agent.Addr(), account, "orders"); err == nil || !strings.Contains(err.Error(), "your roles allow 1 database connections") {
		t.Errorf("%s: %v", account, err)
	}
	refusedOnce(t, agent.Visit(t, n))
}

// TestFewMayComeToKill checks that a user has at most two connections beyond those that the roles allow.
func TestFewMayComeToKill(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	agent := both.start(t, server, crowded)
	e := both.engines[0]
	sleeper(t, server, agent)
	first, second := logIn(t, agent, all), logIn(t, agent, all)
	wantCrowded(t, agent, "app")

	// Those of others do not count.
	mallory := front(t, server, crowded, func(cfg *enginetest.Config) {
		cfg.Engine = e
		cfg.Identity = mallory()
	})
	logInAndSleep := logIn(t, mallory, all)
	logInAndSleep.write(command(mysqlwire.ComQuery, "select sleep(600) as 'other'"))
	running(t, server, "other", true)
	logIn(t, mallory, all)

	for i, r := range []*raw{first, second} { // who goes makes room
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		refusedOnce(t, agent.Visit(t, i+1))
		logIn(t, agent, all)
		wantCrowded(t, agent, "app")
	}
}

// TestWhoMayNotLogInMayNotKill either: the rules are asked about the account.
func TestWhoMayNotLogInMayNotKill(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	agent := both.start(t, server, crowded, func(cfg *enginetest.Config) {
		cfg.Roles = []string{"{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: ['*']}}"}
	})
	sleeper(t, server, agent)
	wantCrowded(t, agent, "root")
	logIn(t, agent, all)
}

// TestWhoKillsNothingIsRefused in the record, whatever was answered.
func TestWhoKillsNothingIsRefused(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	agent := both.start(t, server, crowded)
	c := sleeper(t, server, agent)
	for name, visit := range map[string]func(r *raw){
		"says goodbye": func(r *raw) { r.write(command(mysqlwire.ComQuit, "")) },
		"hangs up":     func(r *raw) { _ = r.Close() },
		"names nobody": func(r *raw) {
			if got := r.errorOf(r.do(mysqlwire.ComQuery, "kill query 1073741824")); !strings.HasPrefix(got, "1094") {
				t.Errorf("told %s", got)
			}
			r.write(command(mysqlwire.ComQuit, ""))
		},
	} {
		n := len(agent.Visits())
		visit(logIn(t, agent, all))
		t.Log(name)
		refusedOnce(t, agent.Visit(t, n))
	}

	// One kill is all.
	n := len(agent.Visits())
	twice := logIn(t, agent, all)
	twice.ok(mysqlwire.ComQuery, fmt.Sprintf("KILL QUERY %d", c.hello.Connection))
	if got := twice.errorOf(twice.do(mysqlwire.ComQuery, fmt.Sprintf("KILL QUERY %d", c.hello.Connection))); !strings.HasPrefix(got, "1226") {
		t.Errorf("a second kill is answered with %s", got)
	}
	refusedOnce(t, agent.Visit(t, n))
	if killed := agent.Visit(t, 0).Journal.Events("db.session.mysql.process_kill"); len(killed) != 1 {
		t.Errorf("in the session that was killed: %v", killed)
	}
}

// TestWhoDoesNotKillIsNotWaitedFor for long.
func TestWhoDoesNotKillIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	server := real(t)
	var both agents
	agent := both.start(t, server, crowded)
	both.engines[0].WaitForKills(time.Millisecond)
	sleeper(t, server, agent)
	logIn(t, agent, all).ends()
	refusedOnce(t, agent.Visit(t, 1))
}
