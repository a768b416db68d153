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
)

// ParseYAML reads the resources in a file: YAML with one or several documents, or JSON with one object
// or a list of them. Every resource is validated and has its defaults. Unknown keys, repeated keys
// and wrong types are errors; the error is one fault.BadParameter that lists every problem of the
// first document that has one, with the number of the document, the line and the path of the key.
func ParseYAML(data []byte) ([]Resource, error) {
	if len(data) > maxDocument {
		return nil, fault.New(fault.BadParameter, "the input is larger than 1 MiB; split it into several files")
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fault.New(fault.BadParameter, "the input is not UTF-8 text")
	}
	docs, err := readNodes(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, fault.New(fault.BadParameter, "the input cannot be read: %s", oneLine(err))
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

func oneLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// readNodes returns one node for each resource.
func readNodes(data []byte) ([]*node, error) {
	var docs []*node
	if json.Valid(data) {
		n, err := jsonNode(data)
		if err != nil {
			return nil, err
		}
		docs = []*node{n}
	} else {
		read, err := yamlNodes(data)
		if err != nil {
			return nil, err
		}
		docs = read
	}
	if len(docs) == 1 && docs[0] != nil && docs[0].shape == shapeList {
		return docs[0].items, nil
	}
	return docs, nil
}

// build makes one resource, or says everything that is wrong with it.
func build(doc *node) (Resource, error) {
	if doc.shape != shapeMap {
		return nil, &lineError{doc.line, fmt.Errorf("must be a map with kind, version, metadata and spec, not %s", doc.shape)}
	}
	kind := doc.get("kind")
	if kind == nil || kind.shape != shapeString {
		return nil, &lineError{doc.line, errors.New("kind is missing; use one of " + quotedList(storedKinds()))}
	}
	r := zero(kind.text)
	if r == nil {
		return nil, &lineError{kind.line, fmt.Errorf("kind %q is not supported; use one of %s", kind.text, quotedList(storedKinds()))}
	}
	dropLegacy(doc)
	p := &problems{}
	assign(p, reflect.ValueOf(r).Elem(), doc, "")
	found := p.list
	if len(found) == 0 { // defaults and rules make sense only for a complete reading
		found = Inspect(r)
	}
	if len(found) == 0 {
		return r, nil
	}
	lines := map[string]int{}
	indexLines(lines, doc, "")
	texts := make([]string, len(found))
	for i, one := range found {
		texts[i] = fmt.Sprintf("line %d: %s: %s", lineFor(lines, one.Path), one.Path, one.Message)
	}
	return nil, errors.New(strings.Join(texts, "; "))
}

// dropLegacy removes what older tools printed: a numeric id and the only namespace there was.
func dropLegacy(doc *node) {
	metadata := doc.get("metadata")
	if metadata == nil {
		return
	}
	if ns := metadata.get("namespace"); ns != nil && ns.text == "default" {
		metadata.drop("namespace")
	}
	if id := metadata.get("id"); id != nil && id.shape == shapeNumber {
		metadata.drop("id")
	}
}

func indexLines(lines map[string]int, n *node, path string) {
	if _, known := lines[path]; !known {
		lines[path] = n.line
	}
	for _, p := range n.pairs {
		at := keyPath(path, p.key)
		lines[at] = p.line
		indexLines(lines, p.value, at)
	}
	for i, item := range n.items {
		indexLines(lines, item, indexPath(path, i))
	}
}

// lineFor returns the line of the key, or of the nearest key above one that is missing.
func lineFor(lines map[string]int, path string) int {
	for path != "" {
		if line, ok := lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return lines[""]
}
