package config

import (
	"reflect"
	"time"

	"sallyport/internal/yamlnode"
)

// readFile reads the one document of a file. What cannot be read is noted in p; the rest is returned.
func readFile(p *problems, data []byte) *yamlnode.Node {
	empty := &yamlnode.Node{Shape: yamlnode.Map}
	if len(data) > yamlnode.MaxSize {
		p.add("", "the file is larger than 1 MiB")
		return empty
	}
	docs, found, err := yamlnode.Read(data, yamlnode.Options{Extras: true, AsWritten: true})
	if err != nil {
		at, ok := err.(*yamlnode.LineError)
		if !ok {
			at = &yamlnode.LineError{Err: err}
		}
		p.lines = map[string]int{"": at.Line}
		p.add("", "this is not valid YAML: %s", at.Err)
		return empty
	}
	root, second := empty, false
	for _, doc := range docs {
		switch {
		case doc == nil:
		case root == empty:
			root = doc
		case !second:
			second = true
			p.lines = map[string]int{"": doc.Line}
			p.add("", "there is a second document; a configuration is one document")
		}
	}
	p.lines = root.Lines()
	for _, one := range found {
		p.lines[one.Path] = one.Line
		p.add(one.Path, "%s", one.Message)
	}
	if root.Shape != yamlnode.Map {
		p.add("", "the file must be a map with sections such as teleport and db_service, not %s", root.Shape)
		return empty
	}
	return root
}

// fromNode is a type of the file's structs with a form of its own.
type fromNode interface {
	fromNode(p *problems, n *yamlnode.Node, path string)
}

// assigner fills the file's structs. Keys are the names in yaml tags, or in json tags for types of
// package resource. Numbers and words like yes are text where text is wanted, as written: account ids
// and names in existing files have no quotes.
func assigner(p *problems) *yamlnode.Assigner {
	return &yamlnode.Assigner{
		Tags: []string{"yaml", "json"}, Loose: true, Add: p.add,
		Unknown: func(path, key, nearest string) {
			at := yamlnode.KeyPath(path, key)
			if nearest == "" {
				p.add(at, "unknown key")
				return
			}
			p.add(at, "unknown key; did you mean %q?", nearest)
			p.told[yamlnode.KeyPath(path, nearest)] = true // that it is missing
		},
		Own: func(v reflect.Value, n *yamlnode.Node, path string) bool {
			own, ok := v.Addr().Interface().(fromNode)
			if ok {
				own.fromNode(p, n, path)
			}
			return ok || n.Shape == yamlnode.Null
		},
	}
}

// textList is a list that may also be written as one value.
type textList []string

func (t *textList) fromNode(p *problems, n *yamlnode.Node, path string) {
	switch {
	case n.Scalar():
		if n.Text != "" {
			*t = textList{n.Text}
		}
	case n.Shape == yamlnode.List:
		for i, item := range n.Items {
			if !item.Scalar() {
				p.add(indexPath(path, i), "must be a string, not %s", item.Shape)
				continue
			}
			*t = append(*t, item.Text)
		}
	case n.Shape != yamlnode.Null:
		p.add(path, "must be a string or a list of strings, not %s", n.Shape)
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

func (d *duration) fromNode(p *problems, n *yamlnode.Node, path string) {
	if n.Shape == yamlnode.Null {
		return
	}
	text := n.Text
	if text == "never" {
		text = "0"
	}
	v, err := time.ParseDuration(text)
	switch {
	case !n.Scalar() || err != nil:
		p.add(path, "must be a duration such as 30m or 1h30m, not %s", n.Describe())
	case v < 0:
		p.add(path, "must not be negative")
	default:
		*d = duration(v)
	}
}

// noEffect is a key that files of other installations have and that changes nothing here.
type noEffect struct{}

func (*noEffect) fromNode(p *problems, n *yamlnode.Node, path string) {
	if !n.Empty() {
		p.warn(path, noEffectText)
	}
}
