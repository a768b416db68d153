package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/yamlnode"
)

// Strings is a list that people may also write as a single string.
type Strings []string

// UnmarshalJSON accepts a string, a list of strings or null.
func (s *Strings) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err == nil {
		*s = list
		return nil
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return errors.New("must be a string or a list of strings; put numbers and words like yes in quotes")
	}
	*s = Strings{one}
	return nil
}

// Labels selects resources: every key must match, the values of one key are alternatives. A nil map
// means that nothing was written, which some role versions read differently from an empty one.
type Labels map[string][]string

// MarshalJSON writes a single value as a string, as people write it.
func (l Labels) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("null"), nil
	}
	out := make(map[string]any, len(l))
	for key, values := range l {
		if len(values) == 1 {
			out[key] = values[0]
		} else {
			out[key] = append([]string{}, values...)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON accepts a string or a list of strings as the value of each key.
func (l *Labels) UnmarshalJSON(data []byte) error {
	m, err := stringsMap(data)
	*l = m
	return err
}

// IsAll reports whether the selector is the one that matches everything, labelled or not.
func (l Labels) IsAll() bool {
	values := l["*"]
	return len(values) == 1 && values[0] == "*"
}

// Traits are the properties of a user that templates in roles refer to.
type Traits map[string][]string

// UnmarshalJSON accepts a string, a list of strings or null as the value of each key.
func (t *Traits) UnmarshalJSON(data []byte) error {
	m, err := stringsMap(data)
	*t = m
	return err
}

func stringsMap(data []byte) (map[string][]string, error) {
	var raw map[string]Strings
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, errors.New("must be a map whose values are strings or lists of strings; put numbers and words like yes in quotes")
	}
	if raw == nil {
		return nil, nil
	}
	m := make(map[string][]string, len(raw))
	for key, values := range raw {
		m[key] = values
	}
	return m, nil
}

// Duration is written in Go syntax, as in 1h30m.
type Duration time.Duration

// MarshalJSON writes the Go form, as in "1h30m0s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON accepts the Go form and plain 0.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text := string(data)
	if err := json.Unmarshal(data, &text); err != nil && text != "0" {
		return errors.New("must be a duration such as 30m or 1h30m")
	}
	v, err := time.ParseDuration(text)
	if text == "null" || text == "" {
		v, err = 0, nil
	}
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

// Std returns the value as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Bool is a boolean that people may also write as yes or no, on or off.
type Bool bool

// UnmarshalJSON accepts true, false and the words yes, no, on, off, true, false.
func (b *Bool) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true", "yes", "on":
		*b = true
	case "false", "no", "off":
		*b = false
	case "null":
	default:
		return errors.New("must be true or false")
	}
	return nil
}

// Enabled returns the value, or otherwise when nothing was written.
func (b *Bool) Enabled(otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return bool(*b)
}

func setDefault(b **Bool, value Bool) {
	if *b == nil {
		*b = &value
	}
}

// enumName reads an enumeration that people write as a name and that older files hold as a number.
func enumName(data []byte, names ...string) (string, error) {
	if bytes.Equal(data, []byte("null")) {
		return "", nil
	}
	var n int
	if err := json.Unmarshal(data, &n); err == nil {
		if n < 0 || n >= len(names) {
			return "", fmt.Errorf("%d is not known; use %s", n, yamlnode.AnyOf(names))
		}
		return names[n], nil
	}
	var name string
	if err := json.Unmarshal(data, &name); err != nil {
		return "", fmt.Errorf("must be %s", yamlnode.AnyOf(names))
	}
	for _, known := range names {
		if strings.EqualFold(name, known) {
			return known, nil
		}
	}
	if name == "" {
		return "", nil
	}
	return "", fmt.Errorf("%q is not known; use %s", name, yamlnode.AnyOf(names))
}
