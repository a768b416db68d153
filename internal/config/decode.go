package config

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fromNode is a type of the file's structs with a form of its own.
type fromNode interface {
	fromNode(p *problems, n *node, path string)
}

// assign fills v, which must be settable, from n. What does not fit goes to p; the rest is filled in.
// Keys are the names in yaml tags, or in json tags for types of package resource.
func assign(p *problems, v reflect.Value, n *node, path string) {
	if own, ok := v.Addr().Interface().(fromNode); ok {
		own.fromNode(p, n, path)
		return
	}
	if n.shape == shapeNull {
		return
	}
	if own, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		if err := own.UnmarshalJSON(n.json()); err != nil {
			p.add(path, "%s", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		assign(p, v.Elem(), n, path)
	case reflect.Struct:
		assignStruct(p, v, n, path)
	case reflect.Map:
		assignMap(p, v, n, path)
	case reflect.Slice:
		assignSlice(p, v, n, path)
	default:
		assignScalar(p, v, n, path)
	}
}

func assignStruct(p *problems, v reflect.Value, n *node, path string) {
	if n.shape != shapeMap {
		p.add(path, "must be a map, not %s", n.shape)
		return
	}
	fields := fileKeys(v.Type())
	for _, one := range n.pairs {
		at := keyPath(path, one.key)
		index, ok := fields[one.key]
		if !ok {
			meant := nearest(one.key, fields)
			if meant == "" {
				p.add(at, "unknown key")
				continue
			}
			p.add(at, "unknown key; did you mean %q?", meant)
			p.told[keyPath(path, meant)] = true // that it is missing
			continue
		}
		assign(p, v.Field(index), one.value, at)
	}
}

func fileKeys(t reflect.Type) map[string]int {
	keys := map[string]int{}
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name := tag.Get("yaml")
		if name == "" {
			name, _, _ = strings.Cut(tag.Get("json"), ",")
		}
		if name != "" && name != "-" {
			keys[name] = i
		}
	}
	return keys
}

func assignMap(p *problems, v reflect.Value, n *node, path string) {
	if n.shape != shapeMap {
		p.add(path, "must be a map, not %s", n.shape)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.pairs)))
	for _, one := range n.pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		assign(p, value, one.value, keyPath(path, one.key))
		v.SetMapIndex(reflect.ValueOf(one.key), value)
	}
}

func assignSlice(p *problems, v reflect.Value, n *node, path string) {
	if n.shape != shapeList {
		p.add(path, "must be a list, not %s", n.shape)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		assign(p, v.Index(i), item, indexPath(path, i))
	}
}

// assignScalar takes numbers and words like yes as text where text is wanted, as written: account ids
// and names in existing files have no quotes.
func assignScalar(p *problems, v reflect.Value, n *node, path string) {
	switch v.Kind() {
	case reflect.String:
		if !n.scalar() {
			p.add(path, "must be a string, not %s", n.shape)
			return
		}
		v.SetString(n.text)
	case reflect.Int:
		i, err := strconv.ParseInt(n.text, 10, 64)
		if !n.scalar() || err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			p.add(path, "must be a whole number, not %s", describe(n))
			return
		}
		v.SetInt(i)
	default:
		panic("config: no rule for " + v.Type().String()) // a mistake in a struct of this package
	}
}

// textList is a list that may also be written as one value.
type textList []string

func (t *textList) fromNode(p *problems, n *node, path string) {
	switch {
	case n.scalar():
		if n.text != "" {
			*t = textList{n.text}
		}
	case n.shape == shapeList:
		for i, item := range n.items {
			if !item.scalar() {
				p.add(indexPath(path, i), "must be a string, not %s", item.shape)
				continue
			}
			*t = append(*t, item.text)
		}
	case n.shape != shapeNull:
		p.add(path, "must be a string or a list of strings, not %s", n.shape)
	}
}

// at returns the path of an entry, which has no index when the list was written as one value.
func (t textList) at(p *problems, path string, i int) string {
	if _, ok := p.lines[indexPath(path, i)]; ok {
		return indexPath(path, i)
	}
	return path
}

// duration is a time in Go syntax. A nil pointer to one means that nothing was written.
type duration time.Duration

func (d *duration) fromNode(p *problems, n *node, path string) {
	if n.shape == shapeNull {
		return
	}
	text := n.text
	if text == "never" {
		text = "0"
	}
	v, err := time.ParseDuration(text)
	switch {
	case !n.scalar() || err != nil:
		p.add(path, "must be a duration such as 30m or 1h30m, not %s", describe(n))
	case v < 0:
		p.add(path, "must not be negative")
	default:
		*d = duration(v)
	}
}

// noEffect is a key that files of other installations have and that changes nothing here.
type noEffect struct{}

func (*noEffect) fromNode(p *problems, n *node, path string) {
	if !n.empty() {
		p.warn(path, "this key has no effect in this program")
	}
}

// nearest returns the known key nearest to one that was mistyped, or "".
func nearest(key string, fields map[string]int) string {
	best, distance := "", 3
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if d := editDistance(key, name); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// editDistance counts the letters to insert, remove or replace to get from a to b, up to 3.
func editDistance(a, b string) int {
	if len(a) > 64 || len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(diagonal+cost, row[j]+1, row[j+1]+1)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
