package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sallyport/bench/programs"
)

// calls counts what a Database Service asks of AWS for many connections to one database.
func (w *world) calls(ctx context.Context, connections int) error {
	config, err := w.member("agent", 3001, fmt.Sprintf(databaseConfig, orders, warehouse, databaseRole, externalID, w.Dir))
	if err != nil {
		return err
	}
	if _, err := w.Background("agent.log", "teleport", "start", "-c", config, "--insecure"); err != nil {
		return err
	}
	bin, err := exec.CommandContext(ctx, filepath.Join(w.Root, "scripts/pgbin")).Output()
	if err != nil {
		return fmt.Errorf("looking for PostgreSQL: %w", err)
	}
	pgbench := filepath.Join(strings.TrimSpace(string(bin)), "pgbench")
	for i, name := range []string{"orders", "warehouse"} {
		if err := w.served(ctx, name); err != nil {
			return err
		}
		port := strconv.Itoa(6000 + i)
		if _, err := w.Background("tsh.log", "tsh", "-i", w.Path("bench.pem"), "--proxy", proxy, "--insecure",
			"proxy", "db", "--tunnel", "--port", port, "--db-user=app", "--db-name=postgres", name); err != nil {
			return err
		}
		if err := programs.Listening(port); err != nil {
			return err
		}
		if err := w.count(ctx, pgbench, port, map[string]string{"orders": "RDS", "warehouse": "Redshift"}[name], connections); err != nil {
			return err
		}
	}
	return nil
}

// served waits until a database can be seen.
func (w *world) served(ctx context.Context, name string) error {
	for deadline := time.Now().Add(programs.Patience); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.Tool(ctx, "tsh", "-i", w.Path("bench.pem"), "--proxy", proxy, "--insecure", "db", "ls")
		if err == nil && strings.Contains(string(out), name) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not served: %w: %s", name, err, out)
		}
	}
}

var rate = regexp.MustCompile(`tps = ([0-9.]+)`)

// count connects once, and then many times, and prints what that asked of AWS.
func (w *world) count(ctx context.Context, pgbench, port, what string, connections int) error {
	const clients = 8
	connect := func(clients, each int) (string, error) {
		cmd := exec.CommandContext(ctx, pgbench, "-n", "-C", "-c", strconv.Itoa(clients), "-t", strconv.Itoa(each), "-f", w.Path("select.sql"), "host=127.0.0.1 port="+port+" user=app dbname=postgres sslmode=disable")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("pgbench: %w: %s", err, out)
		}
		return string(out), nil
	}
	if _, err := connect(1, 1); err != nil {
		return err
	}
	if err := w.aws.forget(ctx); err != nil {
		return err
	}
	out, err := connect(clients, connections/clients)
	if err != nil {
		return err
	}
	calls, logins, err := w.aws.journal(ctx)
	if err != nil {
		return err
	}
	if logins < connections/clients*clients {
		return fmt.Errorf("%d logins were judged for %d connections", logins, connections)
	}
	sts := 0
	for _, e := range calls {
		if e.Service == "sts" {
			sts++
		}
	}
	row(fmt.Sprintf("calls of STS for %d connections to %s after the first", connections, what), "calls", float64(sts), "0")
	row(fmt.Sprintf("all calls of AWS for these %d connections", connections), "calls", float64(len(calls)), "0")
	if found := rate.FindStringSubmatch(out); found != nil {
		perSecond, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return err
		}
		row("connect and one statement, "+what+", 8 clients", "connections/s", perSecond, "")
	}
	return nil
}
