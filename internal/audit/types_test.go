package audit_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/audit"
)

func TestTypesAreThoseOfAllEvents(t *testing.T) {
	t.Parallel()
	var want []string
	for _, typ := range textsIn(t, "Type") {
		want = append(want, typ.text)
	}
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(audit.Types(), want) {
		t.Errorf("types are\n%q\nwant\n%q", audit.Types(), want)
	}
}

// TestEveryTypeAndCodeHasAGoldenLine keeps the golden file complete: what is not in it may change unseen.
func TestEveryTypeAndCodeHasAGoldenLine(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	types, codes := map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(golden) {
		fields, err := audit.Parse(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		types[fields.Type], codes[fields.Code] = true, true
	}
	for _, typ := range audit.Types() {
		if !types[typ] {
			t.Errorf("no golden line has the type %s: add an event to those of event_test.go, and run the test with -update", typ)
		}
	}
	declared := codesIn(t)
	for _, code := range declared {
		if !codes[code.text] {
			t.Errorf("no golden line has the code %s of %s: add an event to those of event_test.go, and run the test with -update", code.text, code.of)
		}
	}
	for code := range codes {
		if !slices.ContainsFunc(declared, func(d text) bool { return d.text == code }) {
			t.Errorf("the code %s has not the form of one", code)
		}
	}
}

func TestEachCodeIsOfOneEvent(t *testing.T) {
	t.Parallel()
	owner := map[string]string{}
	for _, code := range codesIn(t) {
		if other := owner[code.text]; other != "" {
			t.Errorf("%s and %s have the code %s: people search for events by it", other, code.of, code.text)
		}
		owner[code.text] = code.of
	}
	if len(owner) < 60 {
		t.Errorf("only %d codes were found", len(owner))
	}
}

var codeForm = regexp.MustCompile(`^[A-Z][A-Z0-9]+[DEIW]$`)

// codesIn returns the codes in all sources of the package, one for each time that it is written.
func codesIn(t *testing.T) []text {
	return slices.DeleteFunc(textsIn(t, "Code"), func(found text) bool { return !codeForm.MatchString(found.text) })
}

// text is a string in a method of a type.
type text struct{ text, of string }

// textsIn returns the strings in the methods of a name, in all sources of the package.
func textsIn(t *testing.T, name string) []text {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []text
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range source.Decls {
			method, ok := declared.(*ast.FuncDecl)
			if !ok || method.Recv == nil || method.Name.Name != name {
				continue
			}
			star := method.Recv.List[0].Type.(*ast.StarExpr)
			ast.Inspect(method.Body, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					value, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					found = append(found, text{value, star.X.(*ast.Ident).Name})
				}
				return true
			})
		}
	}
	return found
}
