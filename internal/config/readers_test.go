package config_test

import (
	"go/ast"
	"go/types"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// Packages whose types hold what a configuration says. Reading the file and checking it is no effect, so fields that they
// read themselves count only in functions that the program calls for their answers.
var holders = []string{"sallyport/internal/config", "sallyport/internal/resource"}

// plumbing are functions of the holders that read every field, whatever it means.
var plumbing = []string{"Clone", "Decode", "Encode", "Inspect", "New", "ParseYAML", "PresetRoles", "Validate", "Warnings", "WithoutSecrets"}

// program is the daemon's own code, with types.
func program(t *testing.T) []*packages.Package {
	t.Helper()
	cfg := &packages.Config{Context: t.Context(), Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		cfg.BuildFlags = []string{"-race"} // for then everything below has been compiled in this way
	}
	commands, err := packages.Load(cfg, "sallyport/cmd/teleport")
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	packages.Visit(commands, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, "sallyport/") {
			own = append(own, p.PkgPath)
		}
	})
	cfg.Mode = packages.NeedName | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo
	all, err := packages.Load(cfg, own...)
	if err != nil {
		t.Fatal(err)
	}
	if n := packages.PrintErrors(all); n > 0 || len(all) < 50 {
		t.Fatalf("%d packages, %d errors", len(all), n)
	}
	return all
}

// uses are the fields that a function reads, and the functions that it names.
type uses struct {
	fields    map[string]bool // as differences names them
	functions map[*types.Func]bool
}

func (u *uses) add(other *uses) {
	for field := range other.fields {
		u.fields[field] = true
	}
	for function := range other.functions {
		u.functions[function] = true
	}
}

// fieldsRead returns the fields that the program reads.
func fieldsRead(t *testing.T) map[string]bool {
	t.Helper()
	all := program(t)
	names := make(map[*types.Var]string)
	for _, p := range all {
		nameFields(p.Types, names)
	}
	outside := &uses{make(map[string]bool), make(map[*types.Func]bool)}
	within := make(map[*types.Func]*uses)
	for _, p := range all {
		for _, file := range p.Syntax {
			for _, decl := range file.Decls {
				u := usesOf(p.TypesInfo, decl, names)
				function, isFunction := decl.(*ast.FuncDecl)
				switch {
				case !slices.Contains(holders, p.PkgPath):
					outside.add(u)
				case isFunction:
					within[p.TypesInfo.Defs[function.Name].(*types.Func)] = u
				}
			}
		}
	}
	// What the program calls of the holders, and what that calls.
	for queue, seen := []*uses{outside}, make(map[*types.Func]bool); len(queue) > 0; queue = queue[1:] {
		for function := range queue[0].functions {
			u := within[function]
			reading := function.Pkg() != nil && function.Pkg().Path() == holders[0] && function.Signature().Recv() == nil
			if u == nil || seen[function] || reading || slices.Contains(plumbing, function.Name()) {
				continue
			}
			seen[function] = true
			for field := range u.fields {
				outside.fields[field] = true
			}
			queue = append(queue, u)
		}
	}
	return outside.fields
}

// nameFields names the fields of a package's struct types: "config.Auth.ListenAddr".
func nameFields(p *types.Package, names map[*types.Var]string) {
	for _, name := range p.Scope().Names() {
		if typ, ok := p.Scope().Lookup(name).(*types.TypeName); ok {
			nameFieldsOf(typ.Type().Underlying(), p.Name()+"."+name, names)
		}
	}
}

func nameFieldsOf(t types.Type, prefix string, names map[*types.Var]string) {
	s, ok := t.(*types.Struct)
	if !ok {
		return
	}
	for field := range s.Fields() {
		name := prefix + "." + field.Name()
		names[field] = name
		nameFieldsOf(field.Type(), name, names) // of a type without a name
	}
}

// copied returns the field that an expression is, appends to or clones; nil if it is none. Putting a field's value into the
// same field is no use of it.
func copied(info *types.Info, expr ast.Expr) types.Object {
	switch n := expr.(type) {
	case *ast.SelectorExpr:
		if selection := info.Selections[n]; selection != nil {
			return selection.Obj()
		}
	case *ast.CallExpr:
		if name := types.ExprString(n.Fun); len(n.Args) > 0 && (name == "append" || name == "slices.Clone" || name == "maps.Clone") {
			return copied(info, n.Args[0])
		}
	}
	return nil
}

// usesOf returns what a declaration reads and names.
func usesOf(info *types.Info, decl ast.Decl, names map[*types.Var]string) *uses {
	u := &uses{make(map[string]bool), make(map[*types.Func]bool)}
	written := make(map[ast.Node]bool)
	ast.Inspect(decl, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				written[left] = true
				if len(n.Lhs) == len(n.Rhs) {
					if from := copied(info, n.Rhs[i]); from != nil && from == copied(info, left) {
						ast.Inspect(n.Rhs[i], func(part ast.Node) bool { written[part] = true; return true })
					}
				}
			}
		case *ast.SelectorExpr:
			if selection := info.Selections[n]; selection != nil && selection.Kind() == types.FieldVal && !written[n] {
				if name := names[selection.Obj().(*types.Var)]; name != "" {
					u.fields[name] = true
				}
			}
		case *ast.Ident:
			if function, ok := info.Uses[n].(*types.Func); ok {
				u.functions[function.Origin()] = true
			}
		}
		return true
	})
	return u
}
