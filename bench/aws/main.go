// Command aws measures what AWS costs: minting what databases are logged in to with, calls of AWS per connection, and
// looking for thousands of databases. It prints the table of docs/benchmarks.md. Everything runs against the local AWS in
// a network of its own; it is started here and stopped again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"sallyport/bench/programs"
)

// settings are the flags.
type settings struct {
	inside      string // folder of the local AWS that this process runs in; empty outside
	root        string
	connections int
	databases   int
	tagged      int
	latency     time.Duration
	profiles    string // folder for profiles of the Discovery Service; empty for none
}

func main() {
	var s settings
	flag.StringVar(&s.inside, "inside", "", "`folder` of the local AWS in whose network this runs; set by the command itself")
	flag.StringVar(&s.root, "root", "", "`folder` of the project; set by the command itself")
	flag.IntVar(&s.connections, "connections", 1000, "connections whose calls of AWS are counted")
	flag.IntVar(&s.databases, "databases", 10_000, "instances of RDS that are looked for in 20 regions")
	flag.IntVar(&s.tagged, "tagged", 10_000, "clusters of MemoryDB that are looked for there, whose tags take a call each")
	flag.DurationVar(&s.latency, "latency", 50*time.Millisecond, "of each call of AWS during looks")
	flag.StringVar(&s.profiles, "profiles", "", "`folder` that profiles of the Discovery Service's memory are written to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := outside
	if s.inside != "" {
		run = inside
	}
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench/aws:", err)
		stop()
		os.Exit(1)
	}
}

// outside runs this program once more, in the network of a local AWS.
func outside(ctx context.Context, s settings) error {
	set, err := programs.New()
	if err != nil {
		return err
	}
	defer os.RemoveAll(set.Dir)
	if err := os.WriteFile(set.Path("world.yaml"), []byte(worldFile(s)), 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, set.Root+"/bin/fakeaws", append([]string{"run", "world.yaml", self, "-inside", set.Dir, "-root", set.Root}, os.Args[1:]...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = set.Dir, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}

// inside measures.
func inside(ctx context.Context, s settings) (err error) {
	w := &world{Set: &programs.Set{Dir: s.inside, Root: s.root}, aws: newControl(s.inside + "/control")}
	defer func() {
		w.Stop()
		if err != nil {
			err = errors.Join(err, w.tail())
		}
	}()
	fmt.Printf("\n%d cores, %s. %d connections; looks for %d instances of RDS and %d clusters of MemoryDB in %d regions with %s per call of AWS.\n\n",
		runtime.NumCPU(), runtime.Version(), s.connections, s.databases, s.tagged, len(regions), s.latency)
	fmt.Print("| what | unit | measured | wanted |\n|---|---|---|---|\n")
	if err := w.credentials(ctx); err != nil {
		return err
	}
	if err := w.startCluster(ctx); err != nil {
		return err
	}
	if err := w.calls(ctx, s.connections); err != nil {
		return err
	}
	return w.looks(ctx, s)
}

// row prints a line of the table.
func row(what, unit string, measured float64, wanted string) {
	fmt.Printf("| %s | %s | %s | %s |\n", what, unit, programs.Number(measured), wanted)
}
