package yamlnode

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Assigner fills values from nodes. What does not fit is told, and the rest is filled in.
type Assigner struct {
	// Add is told what is wrong with the value at the path.
	Add func(path, format string, args ...any)
	// Unknown is told a key that the struct at the path does not have, and the known key nearest to it, or "".
	Unknown func(path, key, nearest string)
	// Own may be nil. It is asked first, with a value that is addressable, and reports whether it has dealt
	// with it.
	Own func(v reflect.Value, n *Node, path string) bool
	// Tags that name the keys of a struct's fields; the first that a field has counts.
	Tags []string
	// Loose takes numbers and booleans as text where text is wanted, and text as a number.
	Loose bool
}

// Assign fills v, which must be settable, from n. Types with an UnmarshalJSON method read themselves.
func (a *Assigner) Assign(v reflect.Value, n *Node, path string) {
	if a.Own != nil && a.Own(v, n, path) {
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.Shape != Null {
			v.Set(reflect.New(v.Type().Elem()))
			a.Assign(v.Elem(), n, path)
		}
		return
	}
	if own, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		a.unmarshal(own, n, path)
		return
	}
	if n.Shape == Null {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		a.assignStruct(v, n, path)
	case reflect.Map:
		a.assignMap(v, n, path)
	case reflect.Slice:
		a.assignSlice(v, n, path)
	default:
		a.assignScalar(v, n, path)
	}
}

// unmarshal leaves the form to a type with rules of its own.
func (a *Assigner) unmarshal(own json.Unmarshaler, n *Node, path string) {
	err := own.UnmarshalJSON(n.JSON())
	if err == nil {
		return
	}
	if _, ok := own.(*time.Time); ok {
		a.Add(path, "must be a time such as 2030-12-31T23:59:59Z")
		return
	}
	a.Add(path, "%s", err)
}

func (a *Assigner) assignStruct(v reflect.Value, n *Node, path string) {
	if n.Shape != Map {
		a.Add(path, "must be a map, not %s", n.Shape)
		return
	}
	fields := a.fields(v.Type())
	for _, one := range n.Pairs {
		if index, ok := fields[one.Key]; ok {
			a.Assign(v.FieldByIndex(index), one.Value, KeyPath(path, one.Key))
		} else {
			a.Unknown(path, one.Key, nearest(one.Key, fields))
		}
	}
}

// fields maps the keys of a struct's fields to their places.
func (a *Assigner) fields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		for _, tag := range a.Tags {
			if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name != "" {
				if name != "-" {
					fields[name] = f.Index
				}
				break
			}
		}
	}
	return fields
}

func (a *Assigner) assignMap(v reflect.Value, n *Node, path string) {
	if n.Shape != Map {
		a.Add(path, "must be a map, not %s", n.Shape)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Pairs)))
	for _, one := range n.Pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		a.Assign(value, one.Value, KeyPath(path, one.Key))
		v.SetMapIndex(reflect.ValueOf(one.Key), value)
	}
}

func (a *Assigner) assignSlice(v reflect.Value, n *Node, path string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if err := json.Unmarshal(n.JSON(), v.Addr().Interface()); err != nil {
			a.Add(path, "must be base64")
		}
		return
	}
	if n.Shape != List {
		a.Add(path, "must be a list, not %s", n.Shape)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
	for i, item := range n.Items {
		a.Assign(v.Index(i), item, IndexPath(path, i))
	}
}

func (a *Assigner) assignScalar(v reflect.Value, n *Node, path string) {
	switch v.Kind() {
	case reflect.String:
		switch {
		case n.Shape == String, a.Loose && n.Scalar():
			v.SetString(n.Text)
		case n.Scalar():
			a.Add(path, "must be a string; put it in quotes")
		default:
			a.Add(path, "must be a string, not %s", n.Shape)
		}
	case reflect.Bool:
		if n.Shape != Bool {
			a.Add(path, "must be true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.Text, "true"))
	case reflect.Int:
		i, err := strconv.ParseInt(n.Text, 10, 64)
		if fits := n.Shape == Number || a.Loose && n.Scalar(); !fits || err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			a.Add(path, "must be a whole number, not %s", n.Describe())
			return
		}
		v.SetInt(i)
	default:
		panic(fmt.Sprintf("yamlnode: no rule for %s", v.Type())) // a mistake in the struct
	}
}

// nearest returns the known key nearest to one that was mistyped, or "".
func nearest(key string, fields map[string][]int) string {
	best, distance := "", 3
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if d := editDistance(key, name); d < distance {
			best, distance = name, d
		}
	}
	return best
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
