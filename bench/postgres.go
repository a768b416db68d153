package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// postgreSQL is a real one, and the programs that come with it.
type postgreSQL struct{ w *world }

func (p postgreSQL) protocol() string { return "postgres" }
func (p postgreSQL) account() string  { return "postgres" }
func (p postgreSQL) name() string     { return "postgres" }

func (p postgreSQL) version() string {
	return "PostgreSQL " + filepath.Base(filepath.Dir(p.w.pgBin))
}

func (p postgreSQL) start(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(p.w.Root, "scripts/postgres"), "start", p.w.Path("pg"), p.w.port,
		p.w.Path("spread.crt"), p.w.Path("spread.key"), p.w.Path("trusted.cas"), "max_connections=1200", "shared_buffers=256MB").CombinedOutput()
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w: %s", err, out)
	}
	return nil
}

func (p postgreSQL) stop() {
	_ = exec.Command(filepath.Join(p.w.Root, "scripts/postgres"), "stop", p.w.Path("pg")).Run()
}

func (p postgreSQL) direct() string {
	return fmt.Sprintf("host=localhost hostaddr=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=verify-ca sslrootcert=%s sslcert=%s sslkey=%s",
		p.w.port, p.w.Path("db-ca.pem"), p.w.Path("direct.crt"), p.w.Path("direct.key"))
}

func (p postgreSQL) local(d deployment) string {
	return fmt.Sprintf("host=127.0.0.1 port=%s user=postgres dbname=postgres sslmode=disable", d.local)
}

// prepare fills the database.
func (p postgreSQL) prepare(ctx context.Context, s settings) error {
	direct := p.direct()
	if out, err := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "pgbench"), "-i", "-s", "10", "-q", direct).CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	sql := fmt.Sprintf("create table bulk as select g as id, repeat('x', 92) as text from generate_series(1, %d) g; vacuum analyze bulk", s.rows)
	for _, statement := range strings.Split(sql, "; ") {
		if out, err := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "psql"), "-q", "-c", statement, direct).CombinedOutput(); err != nil {
			return fmt.Errorf("filling the bulk table: %w: %s", err, out)
		}
	}
	return nil
}

func (p postgreSQL) tests(s settings) []test {
	var tests []test
	for _, clients := range []int{1, 8} {
		for _, mode := range []string{"simple", "prepared"} {
			tests = append(tests, test{name: fmt.Sprintf("pgbench -S, %s, %s", plural(clients, "client"), mode), unit: "statements/s", measure: p.pgbench(s, clients, "-M", mode)})
		}
	}
	return append(tests,
		test{name: "connect and one statement, 8 clients", unit: "connections/s", measure: p.pgbench(s, 8, "-C")},
		test{name: "COPY out", unit: "MB/s", measure: p.copyOut(s)},
	)
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func (p postgreSQL) pgbench(s settings, clients int, extra ...string) func(context.Context, way) (float64, error) {
	return func(ctx context.Context, way way) (float64, error) {
		args := append([]string{"-S", "-n", "-c", strconv.Itoa(clients), "-j", "1", "-T", strconv.Itoa(int(s.length.Seconds()))}, extra...)
		out, err := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "pgbench"), append(args, way.dsn)...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("pgbench: %w: %s", err, out)
		}
		found := tps.FindSubmatch(out)
		if found == nil {
			return 0, fmt.Errorf("pgbench told no rate: %s", out)
		}
		return strconv.ParseFloat(string(found[1]), 64)
	}
}

// copyOut returns the rate of one large COPY, in 10^6 bytes of text per second.
func (p postgreSQL) copyOut(s settings) func(context.Context, way) (float64, error) {
	return func(ctx context.Context, way way) (float64, error) {
		began := time.Now()
		out, err := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "psql"), "-q", "-c", `\copy bulk to /dev/null`, way.dsn).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("copy: %w: %s", err, out)
		}
		return float64(s.rows) * 100 / 1e6 / time.Since(began).Seconds(), nil
	}
}

// idle has pgbench hold connections open while its clients sleep.
func (p postgreSQL) idle(ctx context.Context, way way, sessions int) (stop func(), err error) {
	held := make([]*exec.Cmd, 0, sessions)
	stop = func() {
		for _, cmd := range held {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	script := p.w.Path("idle.sql")
	if err := os.WriteFile(script, []byte("\\sleep 600 s\nselect 1;\n"), 0o644); err != nil {
		return stop, err
	}
	for range (sessions + 99) / 100 {
		cmd := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "pgbench"), "-n", "-c", "100", "-j", "1", "-T", "900", "-f", script, way.dsn)
		if err := cmd.Start(); err != nil {
			return stop, err
		}
		held = append(held, cmd)
	}
	return stop, p.awaitSessions(ctx, sessions)
}

func (p postgreSQL) awaitSessions(ctx context.Context, want int) error {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		out, err := exec.CommandContext(ctx, filepath.Join(p.w.pgBin, "psql"), "-qAt", "-c", "select count(*) from pg_stat_activity where application_name = 'pgbench'", p.direct()).Output()
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && n >= want {
			return nil
		}
	}
	return errors.New("the idle sessions were not all opened")
}
