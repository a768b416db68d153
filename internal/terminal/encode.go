package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// CheckFormat refuses a value of --format that is not among those allowed. An empty entry allows leaving
// the flag out and is not listed in the error.
func CheckFormat(format string, allowed ...string) error {
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
