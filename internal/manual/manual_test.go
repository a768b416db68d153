package manual_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/internal/manual"
)

func program() *cobra.Command {
	root := &cobra.Command{Use: "prog", Short: "A program", Long: "prog does things."}
	root.PersistentFlags().BoolP("debug", "d", false, "tell more")
	add := &cobra.Command{Use: "add NAME", Short: "Add something", Aliases: []string{"new"}, Example: "  prog add a\n  prog add b", Run: func(*cobra.Command, []string) {}}
	flags := add.Flags()
	flags.StringP("output", "o", "stdout", "`where` to write: a|b")
	flags.String("proxy", os.Getenv("HOME"), "address (env PROG_PROXY)")
	flags.Bool("secret", false, "")
	flags.Lookup("secret").Hidden = true
	group := &cobra.Command{Use: "things", Short: "Things"}
	group.AddCommand(add)
	hidden := &cobra.Command{Use: "ghost", Hidden: true, Run: func(*cobra.Command, []string) {}}
	root.AddCommand(group, hidden)
	return root
}

const page = `# prog

prog does things.

Boolean flags have an opposite: ` + "`--no-x` stands for `--x=false`" + `.

Flags of every command:

| Flag | Default | Environment | Meaning |
|---|---|---|---|
| ` + "`-d`, `--debug`" + ` |  |  | tell more |

## prog things add

Add something.

    prog things add NAME

Also: ` + "`new`" + `

Examples:

    prog add a
    prog add b

| Flag | Default | Environment | Meaning |
|---|---|---|---|
| ` + "`-o`, `--output WHERE` | `stdout`" + ` |  | where to write: a\|b |
| ` + "`--proxy STRING` |  | `PROG_PROXY`" + ` | address |
`

func TestPageShowsCommandsAndFlagsThatAreNotHidden(t *testing.T) {
	t.Parallel()
	if got := string(manual.Page(program())); got != page {
		t.Errorf("the page is\n%s\nwant\n%s", got, page)
	}
}

func TestCheckComparesAndUpdates(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "prog.md")
	if err := manual.Check(program(), file, false); err == nil || !strings.Contains(err.Error(), "-update") {
		t.Errorf("a missing file: %v, want an error that names -update", err)
	}
	if err := manual.Check(program(), file, true); err != nil {
		t.Fatal(err)
	}
	if err := manual.Check(program(), file, false); err != nil {
		t.Errorf("after the update: %v", err)
	}
	changed := program()
	changed.Long = "prog does other things."
	if err := manual.Check(changed, file, false); err == nil {
		t.Error("a changed command equals its old manual")
	}
}
