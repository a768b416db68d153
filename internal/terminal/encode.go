package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/fault"
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
		if text, err = yamlOf(text); err != nil {
			return fmt.Errorf("encoding the output: %w", err)
		}
	}
	_, err := out.Write(text)
	return err
}

// yamlOf rewrites JSON in the block style of YAML and keeps the order of keys.
func yamlOf(data []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	w := &yamlWriter{decoder: decoder}
	err := w.value(0, true)
	return w.b.Bytes(), err
}

type yamlWriter struct {
	decoder *json.Decoder
	b       bytes.Buffer
}

// value writes the next value. On a fresh line, or after "- ", collections begin where the cursor is;
// otherwise, after "key:", on the next line.
func (w *yamlWriter) value(depth int, fresh bool) error {
	token, err := w.decoder.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		if !fresh {
			w.b.WriteByte(' ')
		}
		w.b.WriteString(yamlScalar(token))
		w.b.WriteByte('\n')
		return nil
	}
	first := true
	for ; w.decoder.More(); first = false {
		switch {
		case !first:
			w.indent(depth)
		case !fresh:
			w.b.WriteByte('\n')
			w.indent(depth)
		}
		if delim == '[' {
			w.b.WriteString("- ")
			err = w.value(depth+1, true)
		} else {
			err = w.pair(depth)
		}
		if err != nil {
			return err
		}
	}
	end, err := w.decoder.Token()
	if first && err == nil {
		if !fresh {
			w.b.WriteByte(' ')
		}
		fmt.Fprintf(&w.b, "%s%s\n", delim, end)
	}
	return err
}

func (w *yamlWriter) pair(depth int) error {
	key, err := w.decoder.Token()
	if err != nil {
		return err
	}
	w.b.WriteString(yamlScalar(key))
	w.b.WriteByte(':')
	return w.value(depth+1, false)
}

func (w *yamlWriter) indent(depth int) { w.b.WriteString(strings.Repeat("  ", depth)) }

// plain matches strings that no reader of YAML takes for something else.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*$`)

func yamlScalar(token json.Token) string {
	text, ok := token.(string)
	if !ok {
		if token == nil {
			return "null"
		}
		return fmt.Sprint(token) // a number or a boolean
	}
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(text) {
			return text
		}
	}
	var b bytes.Buffer // a JSON string is a double-quoted scalar of YAML
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) != nil {
		return `""` // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}
