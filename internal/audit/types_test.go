package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/audit"
)

func TestTypesAreThoseOfAllEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
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
			if !ok || method.Recv == nil || method.Name.Name != "Type" {
				continue
			}
			ast.Inspect(method.Body, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
					typ, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, typ)
				}
				return true
			})
		}
	}
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(audit.Types(), want) {
		t.Errorf("types are\n%q\nwant\n%q", audit.Types(), want)
	}
}
