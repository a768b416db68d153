// Command bench measures the whole path beside direct TLS to the same database, interleaved in one run,
// and prints the table of docs/benchmarks.md. It starts everything that it needs and stops it again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	seconds := flag.Int("seconds", 5, "length of one measurement")
	rounds := flag.Int("rounds", 3, "measurements of each kind; their median counts")
	sessions := flag.Int("sessions", 1000, "idle sessions for the memory figure")
	rows := flag.Int("rows", 4_000_000, "rows of the bulk copy, about 100 bytes each")
	db := flag.String("db", "postgres", "database to measure: postgres, mysql, mongodb or redis")
	only := flag.String("only", "", "measure only rows whose name holds this text")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, settings{time.Duration(*seconds) * time.Second, *rounds, *sessions, *rows, *only, *db}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	length   time.Duration
	rounds   int
	sessions int
	rows     int
	only     string
	db       string
}

func run(ctx context.Context, s settings) error {
	w, err := newWorld(s.db)
	if err != nil {
		return err
	}
	defer w.close()
	started, err := w.start(ctx)
	if err != nil {
		return err
	}
	return measure(ctx, w, s, started)
}
