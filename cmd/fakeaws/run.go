package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/internal/aws/fakeaws/realnames"
)

// exitCode ends this command with the code of another.
type exitCode int

func (exitCode) Error() string { return "the command failed" }

func runCommand() *cobra.Command {
	var options serveOptions
	command := &cobra.Command{Use: "run FILE COMMAND [ARGUMENT...]", Short: "Run a command in a network of its own where a world has AWS's names", Args: cobra.MinimumNArgs(2),
		Long: "Runs a command in a network and mount namespace of its own, in which the world that a file describes is served. There,\n" +
			"names lead where the file says; the ranges 198.51.100.0/24 and 203.0.113.0/24 can be listened on; the world's authority\n" +
			"is the only one trusted; and nothing leads out. The exit code is the command's.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !realnames.Inside() {
				code, err := realnames.Enter(cmd.Context())
				if err == nil && code != 0 {
					err = exitCode(code)
				}
				return err
			}
			network, err := realnames.Prepare(cmd.Context())
			if err != nil {
				return err
			}
			defer network.Close()
			world, err := options.load(args[0])
			if err != nil {
				return err
			}
			if err := errors.Join(network.Hosts(world.Hosts()), network.Trust(world.World.Authority().PEM())); err != nil {
				return err
			}
			return world.RunFor(cmd.Context(), func(ctx context.Context, _ []string) error { return start(ctx, args[1:]) })
		}}
	command.Flags().SetInterspersed(false) // flags after FILE are the command's
	options.flags(command)
	return command
}

// start runs the command until it ends, or until ctx does.
func start(ctx context.Context, args []string) error {
	child := exec.CommandContext(ctx, args[0], args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	err := child.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return exitCode(failed.ExitCode())
	}
	return err
}
