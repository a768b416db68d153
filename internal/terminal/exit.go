package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
)

// exitCoder is an error that was told already and asks for an exit code.
type exitCoder interface {
	error
	ExitCode() int
}

// usageError is an error after which the usage of a command helps.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// UsageError returns an error that Exit tells after the usage of the command.
func UsageError(cmd *cobra.Command, err error) error { return &usageError{cmd, err} }

// unknownCommand is an error after which the list of commands helps.
type unknownCommand struct {
	cmd  *cobra.Command
	text string
}

func (e *unknownCommand) Error() string { return e.text }

// Exit tells the error, if any, to the person and returns the exit code of the process. Errors that have
// an ExitCode method and no text only give the code.
func Exit(root *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	stderr := root.ErrOrStderr()
	if coder, ok := errors.AsType[exitCoder](err); ok && coder.Error() == "" {
		return coder.ExitCode()
	}
	if unknown, ok := errors.AsType[*unknownCommand](err); ok {
		fmt.Fprintf(stderr, "%s: error: %s\n\n%s", root.Name(), unknown.text, unknown.cmd.UsageString())
		return 1
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "%s\n", usage.cmd.UsageString())
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
