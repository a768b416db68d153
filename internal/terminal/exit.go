package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
)

// ExitError is how a program ended that the command ran for the person: its state and the code with which
// the command ends too.
type ExitError struct {
	State string // such as: exit status 2
	Code  int
}

func (e *ExitError) Error() string { return e.State }

// usageError is an error with which it helps to see how a command is called.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// UsageError returns an error that Exit tells after how the command is called.
func UsageError(cmd *cobra.Command, err error) error { return &usageError{cmd, err} }

// unknownCommand is an error after which the list of commands helps.
type unknownCommand struct {
	cmd  *cobra.Command
	text string
}

func (e *unknownCommand) Error() string { return e.text }

// Exit tells the error, if any, to the person and returns the exit code of the process: 1, or that of an
// ExitError.
func Exit(root *cobra.Command, err error) int {
	if err = checkOutput(root, err); err == nil {
		return 0
	}
	stderr := root.ErrOrStderr()
	if ended, ok := errors.AsType[*ExitError](err); ok {
		WriteError(stderr, ended)
		return ended.Code
	}
	if unknown, ok := errors.AsType[*unknownCommand](err); ok {
		fmt.Fprintf(stderr, "%s: error: %s\n\n%s", root.Name(), unknown.text, unknown.cmd.UsageString())
		return 1
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		// Not all its flags: the sentence would be lost below them.
		fmt.Fprintf(stderr, "Usage:\n  %s\n  %s --help\n\n", usage.cmd.UseLine(), usage.cmd.CommandPath())
	}
	WriteError(stderr, err)
	if debug(root) && err.Error() != sentence(err) {
		fmt.Fprintf(stderr, "Detail: %s\n\n", Clean(err.Error()))
	}
	return 1
}

// WriteError prints the sentence of the error after "ERROR: ", which is red on a terminal, and an empty line.
func WriteError(stderr io.Writer, err error) {
	prefix := "ERROR: "
	if isTerminal(stderr) && os.Getenv("NO_COLOR") == "" {
		prefix = "\x1b[31mERROR:\x1b[0m "
	}
	fmt.Fprintf(stderr, "%s%s\n\n", prefix, Clean(sentence(err)))
}

// sentence returns what a person reads. An error of this process that is no fault has no better text
// than its own.
func sentence(err error) string {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return fault.Message(err)
	}
	return err.Error()
}

func debug(root *cobra.Command) bool {
	flag := root.PersistentFlags().Lookup("debug")
	return os.Getenv("TELEPORT_DEBUG") == "1" || flag != nil && flag.Value.String() == "true"
}
