// Command teleport is the daemon: the authority, the proxy and the Database Service of a cluster.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/terminal"
	"sallyport/internal/timerslack"
)

func main() {
	beforeServing = timerslack.Raise
	os.Exit(command(os.Args[1:]))
}

// beforeServing comes first in the commands that serve connections. It may start the program anew, which tests that
// call these commands must not.
var beforeServing = func() {}

// command is main for tests too: it returns the exit code.
func command(args []string) int {
	root := newRoot()
	root.SetArgs(append([]string{}, args...)) // cobra takes nil as a wish to read the process's own
	return terminal.Exit(root, root.ExecuteContext(context.Background()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "teleport",
		Short: "Run the services of a cluster",
		Long: `teleport is the daemon of a cluster: the auth service, which knows users and signs certificates; the proxy, to
which users and agents connect; and the Database Service, which serves databases.`,
	}
	root.PersistentFlags().BoolP("debug", "d", false, "log everything; tell errors with their causes")
	root.AddCommand(startCommand(), configureCommand(), dbCommand(), discoveryCommand(), installCommand(), terminal.VersionCommand())
	terminal.Prepare(root)
	return root
}

func dbCommand() *cobra.Command {
	configure := &cobra.Command{Use: "configure", Short: "Prepare the configuration of a Database Service"}
	configure.AddCommand(dbConfigureCreateCommand(), dbConfigureBootstrapCommand(), dbConfigureAWSCommand())
	cmd := &cobra.Command{Use: "db", Short: "Run or prepare a Database Service"}
	cmd.AddCommand(dbStartCommand(), configure)
	return cmd
}

// isDebug returns the flag that every command has.
func isDebug(cmd *cobra.Command) bool {
	debug, err := cmd.Flags().GetBool("debug")
	return err == nil && debug
}
