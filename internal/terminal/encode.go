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
	cmd.PreRunE = func(*cobra.Command, []string) error { return CheckChoice("--format", *format, allowed...) }
	Choices(cmd, "format", allowed...)
}

// Choices lets shells complete the values of a flag, which must exist. An empty value is left out.
func Choices(cmd *cobra.Command, flag string, values ...string) {
	complete := cobra.FixedCompletions(notEmpty(values), cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic("terminal: " + err.Error()) // a flag that does not exist, or twice: seen by every test of the command
	}
}

// CheckChoice refuses a value of a flag that is not among those allowed, and lists these. An empty entry
// allows leaving the flag out and is not listed.
func CheckChoice(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fault.New(fault.BadParameter, "%s must be %s, not %q", flag, alternatives(notEmpty(allowed)), value)
}

func notEmpty(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "" })
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
	return EncodeIndented(out, format, value, 2)
}

// EncodeIndented is Encode with another number of spaces for each level of JSON than two.
func EncodeIndented(out io.Writer, format string, value any, spaces int) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", strings.Repeat(" ", spaces))
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
