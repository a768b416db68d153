package main

import (
	"context"
	"fmt"
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
	instead    []way // are measured in place of those through a cluster, for comparison; usually none
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
		if err := t.row(ctx, ways, s.rounds); err != nil {
			return err
		}
	}
	if idle, ok := w.db.(idler); ok && strings.Contains("memory per idle session", s.only) {
		if err := w.memory(ctx, idle, s.sessions); err != nil {
			return err
		}
	}
	fmt.Printf("| start of an empty cluster to its first answer | ms | | %s | | | |\n", programs.Number(float64(started.Milliseconds())))
	return nil
}

// row measures the ways in turn, and prints their medians.
func (t *test) row(ctx context.Context, ways []way, rounds int) error {
	if len(t.instead) > 0 {
		ways = append([]way{ways[0]}, t.instead...)
	}
	results := make([][]float64, len(ways))
	for range rounds {
		for i, way := range ways {
			value, err := t.measure(ctx, way)
			if err != nil {
				return fmt.Errorf("%s over %s: %w", t.name, way.name, err)
			}
			results[i] = append(results[i], value)
		}
	}
	base := median(results[0])
	fmt.Printf("| %s | %s | %s |", t.name, t.unit, programs.Number(base))
	for _, values := range results[1:] {
		fmt.Printf(" %s | %.2f |", programs.Number(median(values)), median(values)/base)
	}
	if len(t.instead) == 1 {
		fmt.Print(" | |")
	}
	fmt.Println()
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
