// Command tsh is how people use a cluster.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/terminal"
	"sallyport/internal/timerslack"
)

func main() {
	beforeServing = timerslack.Raise
	os.Exit(run(os.Args[1:]))
}

// beforeServing comes first in the commands that serve connections, which are marked with serves. It may start the program
// anew, which tests that call these commands must not.
var beforeServing = func() {}

// serves is the annotation of commands that serve connections.
const serves = "serves"

// run is main for tests too: it returns the exit code.
func run(args []string) int {
	return terminal.Execute(newRoot(), args, func(cmd *cobra.Command) {
		if _, ok := cmd.Annotations[serves]; ok {
			beforeServing()
		}
	})
}
