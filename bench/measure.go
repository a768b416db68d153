package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/bench/programs"
)

// way is one way to the database.
type way struct {
	name string
	dsn  string
}

func (w *world) ways() []way {
	return []way{{"direct TLS", w.db.direct()}, {"one process", w.db.local(w.single)}, {"proxy and agent apart", w.db.local(w.spread)}}
}

// test is one row of the table: a measurement of each way.
type test struct {
	name, unit string
	measure    func(ctx context.Context, way way) (float64, error)
}

func measure(ctx context.Context, w *world, s settings, started time.Duration) error {
	if err := w.db.prepare(ctx, s); err != nil {
		return err
	}
	ways := w.ways()
	fmt.Printf("\n%d cores, %s, %s, medians of %d interleaved rounds of %s, full audit on.\n\n", runtime.NumCPU(), runtime.Version(), w.db.version(), s.rounds, s.length)
	fmt.Printf("| what | unit | %s | %s | ratio | %s | ratio |\n|---|---|---|---|---|---|---|\n", ways[0].name, ways[1].name, ways[2].name)
	for _, t := range w.db.tests(s) {
		if !strings.Contains(t.name, s.only) {
			continue
		}
		results := make([][]float64, len(ways))
		for range s.rounds {
			for i, way := range ways {
				value, err := t.measure(ctx, way)
				if err != nil {
					return fmt.Errorf("%s over %s: %w", t.name, way.name, err)
				}
				results[i] = append(results[i], value)
			}
		}
		base, single, spread := median(results[0]), median(results[1]), median(results[2])
		fmt.Printf("| %s | %s | %s | %s | %.2f | %s | %.2f |\n", t.name, t.unit, programs.Number(base), programs.Number(single), single/base, programs.Number(spread), spread/base)
	}
	if s.db == "postgres" && strings.Contains("memory per idle session", s.only) {
		if err := w.memory(ctx, s.sessions); err != nil {
			return err
		}
	}
	fmt.Printf("| start of an empty cluster to its first answer | ms | | %s | | | |\n", programs.Number(float64(started.Milliseconds())))
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// memory opens idle sessions through the path and tells what each costs the agent and the proxy.
func (w *world) memory(ctx context.Context, sessions int) error {
	before := [2]int{programs.Memory(w.spread.agent, "VmRSS"), programs.Memory(w.spread.front, "VmRSS")}
	held := make([]*exec.Cmd, 0, sessions)
	defer func() {
		for _, cmd := range held {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	dsn := w.ways()[2].dsn
	// pgbench holds its connections open while its clients sleep.
	script := w.Path("idle.sql")
	if err := os.WriteFile(script, []byte("\\sleep 600 s\nselect 1;\n"), 0o644); err != nil {
		return err
	}
	for range (sessions + 99) / 100 {
		cmd := exec.CommandContext(ctx, filepath.Join(w.pgBin, "pgbench"), "-n", "-c", "100", "-j", "1", "-T", "900", "-f", script, dsn)
		if err := cmd.Start(); err != nil {
			return err
		}
		held = append(held, cmd)
	}
	if err := w.awaitSessions(ctx, sessions); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
	}
	after := [2]int{programs.Memory(w.spread.agent, "VmRSS"), programs.Memory(w.spread.front, "VmRSS")}
	for i, name := range []string{"agent", "proxy (with auth)"} {
		fmt.Printf("| memory per idle session, %s, %d sessions | KiB | | | | %s | |\n", name, sessions, programs.Number(float64(after[i]-before[i])/float64(sessions)))
	}
	return nil
}

// settle is how long after the last connect the memory is read.
const settle = 2 * time.Minute

func (w *world) awaitSessions(ctx context.Context, want int) error {
	direct := w.ways()[0].dsn
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		out, err := exec.CommandContext(ctx, filepath.Join(w.pgBin, "psql"), "-qAt", "-c", "select count(*) from pg_stat_activity where application_name = 'pgbench'", direct).Output()
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && n >= want {
			return nil
		}
	}
	return errors.New("the idle sessions were not all opened")
}
