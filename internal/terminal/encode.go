package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// FormatFlag adds --format, of which the first allowed value is the default, and refuses other values before
// the command runs. An empty entry allows leaving the flag out. The shorthand may be empty.
func FormatFlag(cmd *cobra.Command, format *string, shorthand, usage string, allowed ...string) {
	cmd.Flags().StringVarP(format, "format", shorthand, allowed[0], usage)
	cmd.PreRunE = func(*cobra.Command, []string) error { return checkFormat(*format, allowed...) }
}

// checkFormat does not list an empty entry in its error.
func checkFormat(format string, allowed ...string) error {
	if slices.Contains(allowed, format) {
		return nil
	}
	var listed []string
	for _, name := range allowed {
		if name != "" {
			listed = append(listed, name)
		}
	}
	return fault.New(fault.BadParameter, "--format must be %s, not %q", alternatives(listed), format)
}

// alternatives renders words as in: a, b or c.
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Encode prints the value as "json" or "yaml", by its JSON form: keys in the order of the struct's fields,
// an empty list as [].
func Encode(out io.Writer, format string, value any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	text := b.Bytes()
	if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
		text = []byte("[]\n")
	}
	if format == "yaml" {
		var err error
		if text, err = yamlnode.FromJSON(text); err != nil {
			return fmt.Errorf("encoding the output: %w", err)
		}
	}
	_, err := out.Write(text)
	return err
}
