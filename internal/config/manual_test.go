package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md instead of comparing it")

// TestTheManualHasEveryKey compares the page about the file with the structs that mirror it and their comments.
func TestTheManualHasEveryKey(t *testing.T) {
	t.Parallel()
	m := &keyManual{comments: commentsOf(t, ".", "../resource")}
	m.section(config.FileType, "", nil)
	page := strings.Replace(manualHead, "\n", "\n\n", 1) + m.text.String()
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if written, err := os.ReadFile(path); err != nil || string(written) != page {
		t.Errorf("docs/configuration.md is not what the structs say (%v); run go test ./internal/config -update", err)
	}
	if n := strings.Count(page, "\n| `"); n < 100 {
		t.Errorf("the page has %d keys only", n)
	}
}

const manualHead = `# The configuration file
` + "`teleport start` reads `/etc/teleport.yaml`, or the file of `--config`. `teleport configure` writes one, and `teleport configure --test FILE`" + `
checks one. Unknown keys are errors; keys of other programs that have no effect here are warned of when they are written. Durations are
written as in 90s, 15m or 1h30m. This page is made from the program's source: ` + "`go test ./internal/config -update`." + `
`

// commentsOf returns what is written above the fields of the folders' structs: by struct and field, as in "authSection.Tokens",
// or by the field alone in structs without a name.
func commentsOf(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, folder := range folders {
		paths, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(paths) == 0 {
			t.Fatal(err, paths)
		}
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if spec, ok := node.(*ast.TypeSpec); ok {
					if fields, ok := spec.Type.(*ast.StructType); ok {
						addComments(comments, spec.Name.Name, fields)
					}
				}
				return true
			})
		}
	}
	return comments
}

func addComments(comments map[string]string, name string, fields *ast.StructType) {
	for _, field := range fields.Fields.List {
		for _, ident := range field.Names {
			comments[name+"."+ident.Name] = strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
			inner := field.Type
			if pointer, ok := inner.(*ast.StarExpr); ok {
				inner = pointer.X
			}
			if inner, ok := inner.(*ast.StructType); ok {
				addComments(comments, name+"."+ident.Name, inner)
			}
		}
	}
}

// keyManual writes the page.
type keyManual struct {
	comments map[string]string
	text     strings.Builder
	ignored  []string // keys of the section without effect
}

// goName is a word that looks like a field's name, and not like one of a sentence.
var goName = regexp.MustCompile(`\b[A-Z]+[a-z0-9]+[A-Z]\w*|\b[A-Z]{2,}[a-z]\w*`)

// about returns what is said of a field: without its name where the sentence can do without, and with keys for the names of others.
func (m *keyManual) about(structName string, field reflect.StructField, keys map[string]string) string {
	text := m.comments[structName+"."+field.Name]
	for _, end := range []string{": ", ", one or a list: "} { // values, which are written as they are
		if rest, ok := strings.CutPrefix(text, field.Name+end); ok {
			text = rest
		}
	}
	for _, end := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(text, field.Name+end); ok {
			text = strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	if rest, ok := strings.CutPrefix(text, field.Name); ok {
		text = "`" + keys[field.Name] + "`" + rest
	}
	text = goName.ReplaceAllStringFunc(text, func(word string) string {
		if key := keys[word]; key != "" {
			return "`" + key + "`"
		}
		return word
	})
	return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(text)
}

// section writes what a struct holds. The path is that of its key; within are the names for comments in a struct without one.
func (m *keyManual) section(t reflect.Type, path string, within []string) {
	name := t.Name()
	if name == "" {
		name = strings.Join(within, ".")
	}
	keys := make(map[string]string)
	for i := range t.NumField() {
		keys[t.Field(i).Name] = keyOf(t.Field(i))
	}
	for i := range t.NumField() {
		field, key := t.Field(i), keyOf(t.Field(i))
		at := strings.TrimPrefix(path+"."+key, ".")
		about := m.about(name, field, keys)
		kind, inner := kindOf(field.Type)
		switch {
		case config.Silent(field.Type):
			m.ignored = append(m.ignored, "`"+at+"`")
			continue
		case path == "" && inner != nil:
			fmt.Fprintf(&m.text, "\n## %s\n\n%s\n\n| key | value | |\n|---|---|---|\n", key, about)
		case path == "":
			fmt.Fprintf(&m.text, "\n| key | value | |\n|---|---|---|\n| `%s` | %s | %s |\n", at, kind, about)
		case inner == nil || about != "":
			fmt.Fprintf(&m.text, "| `%s` | %s | %s |\n", at, kind, about)
		}
		if inner != nil {
			m.section(inner, at+strings.Repeat("[]", strings.Count(kind, "list")), []string{name, field.Name})
		}
		if path == "" {
			m.silent()
		}
	}
	if path == "" {
		m.silent()
	}
}

// silent ends a section with its keys that have no effect.
func (m *keyManual) silent() {
	if len(m.ignored) > 0 {
		fmt.Fprintf(&m.text, "\nWithout effect here: %s.\n", strings.Join(m.ignored, ", "))
	}
	m.ignored = nil
}

func keyOf(field reflect.StructField) string {
	if key := field.Tag.Get("yaml"); key != "" {
		return key
	}
	key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return key
}

// kindOf says what is written for a type, and returns the struct whose keys it has, if any.
func kindOf(t reflect.Type) (kind string, inner reflect.Type) {
	own := reflect.PointerTo(t).NumMethod() > 0
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case strings.HasSuffix(strings.ToLower(t.Name()), "duration"):
		return "duration", nil
	case t.Kind() == reflect.Bool:
		return "yes or no", nil
	case t.Kind() == reflect.Int:
		return "number", nil
	case t.Kind() == reflect.Struct && !own:
		return "map", t
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list", t.Elem()
	case t.Kind() == reflect.Slice:
		return "text or list", nil
	case t.Kind() == reflect.Map:
		return "map", nil
	default:
		return "text", nil
	}
}
