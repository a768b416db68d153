package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Params are the parameters of a request, nested as the protocol nests them. Looking up what is not there gives zero values.
type Params struct {
	// value is a string, json.Number, bool, nil, []any or map[string]any.
	value any
}

// ParseForm reads the parameters of Query and EC2, where names with dots nest and numbers are positions in lists.
func ParseForm(form url.Values) (Params, error) {
	root := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		at := root
		parts := strings.Split(name, ".")
		if len(parts) > 16 {
			return Params{}, fmt.Errorf("parameter %q is nested too deep", name)
		}
		for i, part := range parts {
			if i == len(parts)-1 {
				if _, isMap := at[part].(map[string]any); isMap {
					return Params{}, fmt.Errorf("parameter %q is both a value and a structure", name)
				}
				at[part] = form.Get(name)
				break
			}
			next, ok := at[part].(map[string]any)
			if !ok {
				if at[part] != nil && at[part] != "" { // an empty list is sent as Name=
					return Params{}, fmt.Errorf("parameter %q is both a value and a structure", name)
				}
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
	}
	return Params{root}, nil
}

// ParseJSON reads a JSON object; no bytes are an empty one.
func ParseJSON(body []byte) (Params, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Params{map[string]any{}}, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return Params{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Params{}, errors.New("something follows the JSON object")
	}
	return Params{root}, nil
}

// With gives the parameters with one more, such as one taken from a path.
func (p Params) With(name, value string) Params {
	m, _ := p.value.(map[string]any)
	m = maps.Clone(m)
	if m == nil {
		m = map[string]any{}
	}
	m[name] = value
	return Params{m}
}

// At is the parameter of that name; dots go deeper.
func (p Params) At(path string) Params {
	for name := range strings.SplitSeq(path, ".") {
		m, _ := p.value.(map[string]any)
		p = Params{m[name]}
	}
	return p
}

// Has says whether the parameter was sent, even if empty.
func (p Params) Has(path string) bool { return p.At(path).value != nil }

// Names are the names of the members, sorted.
func (p Params) Names() []string {
	m, _ := p.value.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// Text is the value itself as a string.
func (p Params) Text() string {
	switch v := p.value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// String is a parameter as a string.
func (p Params) String(path string) string { return p.At(path).Text() }

// Bool is a parameter as a boolean; false when it is absent.
func (p Params) Bool(path string) bool { return strings.EqualFold(p.String(path), "true") }

// Int is a parameter as a number, or otherwise when it is absent.
func (p Params) Int(path string, otherwise int) (int, error) {
	text := p.String(path)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, Errorf("ValidationError", "%s must be a number", path)
	}
	return n, nil
}

// Bytes is a parameter that travels in base64.
func (p Params) Bytes(path string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(p.String(path))
	if err != nil {
		return nil, Errorf("SerializationException", "%s is not base64", path)
	}
	return b, nil
}

// List is a parameter that is a list. In Query the element name between list and number (member, Filter) is passed over.
func (p Params) List(path string) []Params {
	switch v := p.At(path).value.(type) {
	case []any:
		list := make([]Params, len(v))
		for i := range v {
			list[i] = Params{v[i]}
		}
		return list
	case map[string]any:
		if len(v) == 1 {
			for _, only := range v {
				if inner, ok := only.(map[string]any); ok && allNumbers(inner) {
					v = inner
				}
			}
		}
		if !allNumbers(v) {
			return nil
		}
		keys := slices.SortedFunc(maps.Keys(v), func(a, b string) int {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			return cmp.Compare(x, y)
		})
		var list []Params
		for _, key := range keys {
			list = append(list, Params{v[key]})
		}
		return list
	}
	return nil
}

func allNumbers(m map[string]any) bool {
	for key := range m {
		if n, err := strconv.Atoi(key); err != nil || n < 1 {
			return false
		}
	}
	return len(m) > 0
}

// Strings is a parameter that is a list of strings.
func (p Params) Strings(path string) []string {
	var all []string
	for _, one := range p.List(path) {
		all = append(all, one.Text())
	}
	return all
}

// Tags is a parameter that is a list of Key and Value (lower-case names are read too), in order.
func (p Params) Tags(path string) [][2]string {
	var tags [][2]string
	for _, one := range p.List(path) {
		tags = append(tags, [2]string{cmp.Or(one.String("Key"), one.String("key")), cmp.Or(one.String("Value"), one.String("value"))})
	}
	return tags
}
