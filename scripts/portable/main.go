// Command portable reports what does not compile on another system. It checks types from source, the bodies of functions
// in this project's own packages only, which is what "GOOS=... go vet" would find in a tenth of the time that this takes to
// compile everything below them.
//
//	portable darwin/arm64 ./cmd/tsh ./cmd/tctl
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// module begins the paths of the packages that are checked whole.
const module = "sallyport/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "portable:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("give it a system and packages, as in: portable darwin/arm64 ./cmd/tsh")
	}
	system, arch, _ := strings.Cut(args[0], "/")
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps,
		Env:  append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0"),
	}
	commands, err := packages.Load(cfg, args[1:]...)
	if err != nil {
		return err
	}
	var own []string
	packages.Visit(commands, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, module) {
			own = append(own, p.PkgPath)
		}
	})
	slices.Sort(own)
	cfg.Mode |= packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesSizes | packages.NeedTypesInfo
	checked, err := packages.Load(cfg, own...)
	if err != nil {
		return err
	}
	if n := packages.PrintErrors(checked); n > 0 {
		return fmt.Errorf("%d errors on %s", n, args[0])
	}
	if len(checked) == 0 {
		return fmt.Errorf("no package of %s in %q", module, args[1:])
	}
	fmt.Printf("%d packages compile on %s\n", len(checked), args[0])
	return nil
}
