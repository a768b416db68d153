package terminal

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// interruptedCode is what shells give for a program that Ctrl-C has ended.
const interruptedCode = 130

// Execute runs the command that the arguments name and returns the exit code of the process. Ctrl-C and SIGTERM end the
// context of the command, which says nothing more then. Before, which may be nil, is called with the command first, when
// signals still end the process at once.
func Execute(root *cobra.Command, args []string, before func(*cobra.Command)) int {
	interrupted := context.Background()
	stop := func() {}
	prepare := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if before != nil {
			before(cmd)
		}
		interrupted, stop = signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		cmd.SetContext(interrupted)
		return prepare(cmd, args)
	}
	root.SetArgs(append([]string{}, args...)) // cobra takes nil as a wish to read the process's own
	err := root.ExecuteContext(context.Background())
	ended := interrupted.Err() != nil
	stop()
	if ended && errors.Is(err, context.Canceled) {
		return interruptedCode
	}
	return Exit(root, err)
}
