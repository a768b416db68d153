package resource

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// assign fills v, which must be settable, from n. What does not fit goes to p; the rest is filled in.
func assign(p *problems, v reflect.Value, n *node, path string) {
	if v.Kind() == reflect.Pointer {
		if n.shape == shapeNull {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		assign(p, v.Elem(), n, path)
		return
	}
	if own, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		assignOwn(p, own, n, path)
		return
	}
	if n.shape == shapeNull {
		return
	}
	switch v.Kind() {
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

// assignOwn leaves the form to a type with rules of its own.
func assignOwn(p *problems, own json.Unmarshaler, n *node, path string) {
	err := own.UnmarshalJSON(n.appendJSON(nil))
	if err == nil {
		return
	}
	if _, ok := own.(*time.Time); ok {
		p.add(path, "must be a time such as 2030-12-31T23:59:59Z")
		return
	}
	p.add(path, "%s", err)
}

func assignStruct(p *problems, v reflect.Value, n *node, path string) {
	if n.shape != shapeMap {
		p.add(path, "must be a map, not %s", n.shape)
		return
	}
	fields := jsonFields(v.Type())
	for _, one := range n.pairs {
		at := keyPath(path, one.key)
		index, ok := fields[one.key]
		if !ok {
			p.add(at, "is not a known key%s", suggestion(one.key, fields))
			continue
		}
		assign(p, v.FieldByIndex(index), one.value, at)
	}
}

// jsonFields maps the JSON names of a struct's fields to their places.
func jsonFields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Index
		}
	}
	return fields
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
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if err := json.Unmarshal(n.appendJSON(nil), v.Addr().Interface()); err != nil {
			p.add(path, "must be base64")
		}
		return
	}
	if n.shape != shapeList {
		p.add(path, "must be a list, not %s", n.shape)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		assign(p, v.Index(i), item, indexPath(path, i))
	}
}

func assignScalar(p *problems, v reflect.Value, n *node, path string) {
	switch v.Kind() {
	case reflect.String:
		switch n.shape {
		case shapeString:
			v.SetString(n.text)
		case shapeBool, shapeNumber:
			p.add(path, "must be a string; put it in quotes")
		default:
			p.add(path, "must be a string, not %s", n.shape)
		}
	case reflect.Bool:
		if n.shape != shapeBool {
			p.add(path, "must be true or false")
			return
		}
		v.SetBool(n.text == "true")
	case reflect.Int:
		i, err := strconv.ParseInt(n.text, 10, 64)
		if n.shape != shapeNumber || err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			p.add(path, "must be a whole number")
			return
		}
		v.SetInt(i)
	default:
		panic("resource: no rule for " + v.Type().String()) // a mistake in a struct of this package
	}
}

// suggestion offers the known key nearest to one that was mistyped.
func suggestion(key string, fields map[string][]int) string {
	best, distance := "", 3
	for _, name := range sortedKeys(fields) {
		if d := editDistance(key, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the letters to insert, remove or replace to get from a to b, up to a limit.
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
