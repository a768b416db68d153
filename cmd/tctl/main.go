// Command tctl administers a cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sallyport/internal/terminal"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main for tests too: it returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(terminal.Args(args))
	return terminal.Exit(root, root.ExecuteContext(ctx))
}
