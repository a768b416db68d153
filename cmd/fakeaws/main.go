// Command fakeaws runs a local AWS that checks what it is told, for tests and demonstrations.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{Use: "fakeaws", Short: "A local AWS that checks what it is told", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(serveCommand(), runCommand(), verifyCommand())
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		stop()
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakeaws:", err)
		stop()
		os.Exit(1)
	}
}
