package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// ParseYAML reads the resources in a file: YAML with one or several documents, or JSON with one object
// or a list of them. Every resource is validated and has its defaults. Unknown keys, repeated keys
// and wrong types are errors; the error is one fault.BadParameter that lists every problem of the
// first document that has one, with the number of the document, the line and the path of the key.
func ParseYAML(data []byte) ([]Resource, error) {
	if len(data) > yamlnode.MaxSize {
		return nil, fault.New(fault.BadParameter, "the input is larger than 1 MiB; split it into several files")
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fault.New(fault.BadParameter, "the input is not UTF-8 text")
	}
	docs, err := readNodes(data)
	if err != nil {
		return nil, fault.New(fault.BadParameter, "the input cannot be read: %s", err)
	}
	var out []Resource
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		r, err := build(doc)
		if err != nil {
			return nil, fault.New(fault.BadParameter, "document %d: %s", i+1, err)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.BadParameter, "the input is empty; give at least one resource")
	}
	return out, nil
}

// readNodes returns one node for each resource.
func readNodes(data []byte) ([]*yamlnode.Node, error) {
	var docs []*yamlnode.Node
	if json.Valid(data) {
		n, err := yamlnode.ReadJSON(data)
		if err != nil {
			return nil, err
		}
		docs = []*yamlnode.Node{n}
	} else {
		read, problems, err := yamlnode.Read(data, yamlnode.Options{})
		if err != nil {
			return nil, err
		}
		if len(problems) > 0 {
			return nil, &yamlnode.LineError{Line: problems[0].Line, Err: errors.New(problems[0].Message)}
		}
		docs = read
	}
	if len(docs) == 1 && docs[0] != nil && docs[0].Shape == yamlnode.List {
		return docs[0].Items, nil
	}
	return docs, nil
}

// build makes one resource, or says everything that is wrong with it.
func build(doc *yamlnode.Node) (Resource, error) {
	if doc.Shape != yamlnode.Map {
		return nil, &yamlnode.LineError{Line: doc.Line, Err: fmt.Errorf("must be a map with kind, version, metadata and spec, not %s", doc.Shape)}
	}
	kind := doc.Get("kind")
	if kind == nil || kind.Shape != yamlnode.String {
		return nil, &yamlnode.LineError{Line: doc.Line, Err: errors.New("kind is missing; use one of " + yamlnode.AnyOf(WritableKinds()))}
	}
	r := zero(kind.Text)
	if r == nil {
		return nil, &yamlnode.LineError{Line: kind.Line, Err: fmt.Errorf("kind %q is not supported; use one of %s", kind.Text, yamlnode.AnyOf(WritableKinds()))}
	}
	dropLegacy(doc)
	p := &problems{}
	assigner(p).Assign(reflect.ValueOf(r).Elem(), doc, "")
	found := p.list
	if len(found) == 0 { // defaults and rules make sense only for a complete reading
		found = Inspect(r)
	}
	if len(found) == 0 {
		return r, nil
	}
	lines := doc.Lines()
	texts := make([]string, len(found))
	for i, one := range found {
		texts[i] = fmt.Sprintf("line %d: %s: %s", yamlnode.LineOf(lines, one.Path), one.Path, one.Message)
	}
	return nil, errors.New(strings.Join(texts, "; "))
}

// dropLegacy removes what older tools printed: a numeric id and the only namespace there was.
func dropLegacy(doc *yamlnode.Node) {
	metadata := doc.Get("metadata")
	if metadata == nil {
		return
	}
	if ns := metadata.Get("namespace"); ns != nil && ns.Text == "default" {
		metadata.Drop("namespace")
	}
	if id := metadata.Get("id"); id != nil && id.Shape == yamlnode.Number {
		metadata.Drop("id")
	}
}

// assigner fills resources from nodes, by the names in their JSON form.
func assigner(p *problems) *yamlnode.Assigner {
	return &yamlnode.Assigner{
		Tags: []string{"json"},
		Add:  p.add,
		Unknown: func(path, key, nearest string) {
			if nearest != "" {
				nearest = fmt.Sprintf("; did you mean %q?", nearest)
			}
			p.add(yamlnode.KeyPath(path, key), "is not a known key%s", nearest)
		},
	}
}

// ToYAML returns the resource as people write it, with keys in a stable order. ParseYAML reads it back
// to an equal resource.
func ToYAML(r Resource) ([]byte, error) {
	data, err := Encode(r)
	if err != nil {
		return nil, err
	}
	return yamlnode.FromJSON(data)
}
