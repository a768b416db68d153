package terminal_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/internal/terminal"
)

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

func TestOutputThatCannotBeWrittenIsTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ call, want string }{
		{"careless", "ERROR: the output could not be written: no space left on device\n\n"},
		{"careful", "ERROR: the output could not be written: no space left on device\n\n"},
		{"careless --help", "ERROR: the output could not be written: no space left on device\n\n"},
		{"--help", "ERROR: the output could not be written: no space left on device\n\n"},
		{"version", "ERROR: the output could not be written: no space left on device\n\n"},
		{"completion bash", "ERROR: the output could not be written: no space left on device\n\n"},
		{"other", "ERROR: something else\n\n"},
	} {
		t.Run(test.call, func(t *testing.T) {
			t.Parallel()
			root := &cobra.Command{Use: "prog"}
			root.AddCommand(terminal.VersionCommand(),
				&cobra.Command{Use: "careless", Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "done") }},
				&cobra.Command{Use: "careful", RunE: func(cmd *cobra.Command, _ []string) error {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), "done")
					return err
				}},
				&cobra.Command{Use: "other", RunE: func(cmd *cobra.Command, _ []string) error {
					fmt.Fprintln(cmd.OutOrStdout(), "begun")
					return fmt.Errorf("something else")
				}})
			var told bytes.Buffer
			root.SetOut(full{})
			root.SetErr(&told)
			terminal.Prepare(root)
			if out := root.OutOrStdout(); terminal.Beneath(out) != (full{}) {
				t.Errorf("beneath the output is %v", terminal.Beneath(out))
			}
			root.SetArgs(strings.Fields(test.call))
			if code := terminal.Exit(root, root.Execute()); code != 1 || told.String() != test.want {
				t.Errorf("exit code %d, and it says %q, want %q", code, told.String(), test.want)
			}
		})
	}
}
