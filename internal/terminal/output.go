package terminal

import (
	"errors"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
)

// output remembers that something could not be written, whoever wrote it and did not look. Safe for concurrent use.
type output struct {
	to io.Writer

	mu     sync.Mutex
	failed error // the first failure; guarded by mu
}

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	n, err := o.to.Write(data)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.failed == nil {
			o.failed = err
		}
	}
	return n, err
}

// Beneath returns what is written to when a command writes to its output: for programs that it runs, which need the
// terminal itself.
func Beneath(out io.Writer) io.Writer {
	if watched, ok := out.(*output); ok {
		return watched.to
	}
	return out
}

// checkOutput returns an error when the command succeeded in all but writing what it said, and the command's own otherwise.
func checkOutput(root *cobra.Command, err error) error {
	watched, ok := root.OutOrStdout().(*output)
	if !ok {
		return err
	}
	watched.mu.Lock()
	defer watched.mu.Unlock()
	failed := watched.failed
	if failed == nil || err != nil && !errors.Is(err, failed) {
		return err
	}
	return fault.Wrap(fault.Internal, failed, "the output could not be written: %s", fault.Reason(failed))
}
