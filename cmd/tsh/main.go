// Command tsh is how people use a cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sallyport/internal/terminal"
	"sallyport/internal/timerslack"
)

func main() {
	beforeServing = timerslack.Raise
	os.Exit(run(os.Args[1:]))
}

// beforeServing comes first in the commands that serve connections. It may start the program anew, which tests that
// call these commands must not.
var beforeServing = func() {}

// run is main for tests too: it returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(terminal.Args(args))
	return terminal.Exit(root, root.ExecuteContext(ctx))
}
