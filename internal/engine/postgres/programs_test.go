package postgres_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/pgserver"
)

// program runs one of PostgreSQL's own programs against the agent and returns what it prints.
func program(t *testing.T, agent *enginetest.Agent, input []byte, name string, args ...string) []byte {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s", name)
	}
	cmd := exec.CommandContext(t.Context(), found[len(found)-1], args...)
	cmd.Env = environment(agent)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, stderr.String())
	}
	return out
}

func environment(agent *enginetest.Agent) []string {
	host, port, _ := net.SplitHostPort(agent.Addr())
	return append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=postgres", "PGDATABASE=postgres", "PGSSLMODE=disable", "PGGSSENCMODE=disable")
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	server.Exec(t, "create database copied")
	agent := front(t, server)
	program(t, agent, nil, "pgbench", "-i", "-q")
	const clients, transactions = 4, 50
	before := len(agent.Visits())
	for _, mode := range []string{"simple", "extended", "prepared"} {
		out := program(t, agent, nil, "pgbench", "-n", "-S", "-M", mode, "-c", "4", "-t", "50")
		if !strings.Contains(string(out), "number of failed transactions: 0") {
			t.Errorf("%s: %s", mode, out)
		}
	}
	recorded := 0
	for _, v := range agent.Visits()[before:] {
		if err := v.Wait(t); err != nil {
			t.Fatal(err)
		}
		for _, text := range queries(v) {
			if strings.HasPrefix(text, "SELECT abalance") {
				recorded++
			}
		}
	}
	if recorded != 3*clients*transactions {
		t.Errorf("%d statements were recorded", recorded)
	}
	program(t, agent, nil, "pgbench", "-n", "-b", "tpcb-like", "-c", "4", "-t", "20")
	dump := program(t, agent, nil, "pg_dump", "-Fc")
	program(t, agent, dump, "pg_restore", "-d", "copied")
	const sum = "select count(*), sum(abalance), sum(aid) from pgbench_accounts"
	if want, got := server.Exec(t, sum), server.ExecIn(t, "copied", sum); got != want {
		t.Errorf("the copy has %s, the original %s", got, want)
	}
}

// TestReplication runs a program that wants it.
func TestReplication(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_basebackup")
	if err != nil || len(found) == 0 {
		t.Fatal("no pg_basebackup")
	}
	cmd := exec.CommandContext(t.Context(), found[0], "-D", t.TempDir(), "--no-password")
	cmd.Env = environment(agent)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "replication connections are not supported through this system") {
		t.Fatalf("%v: %s", err, out)
	}
	v := agent.Visit(t, len(agent.Visits())-1)
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
	if events := v.Journal.Events(); len(events) != 1 || events[0].Code != "TDB00W" || !strings.Contains(events[0].Text("error"), "replication") {
		t.Errorf("recorded %v", events)
	}
}
