// Package manual makes the manual page of a command from the command itself, so that the two cannot
// differ.
package manual

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page returns the manual of the command and of all commands below it, as Markdown. It begins with the
// root; every command has usage, description and flags. Defaults that come from the environment are
// left out: a flag names its variable at the end of its description, as in "(env NAME)".
func Page(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n", root.Name())
	writeDescription(&b, root)
	b.WriteString("Boolean flags have an opposite: `--no-x` stands for `--x=false`.\n")
	if flags := shown(root.PersistentFlags()); len(flags) > 0 {
		b.WriteString("\nFlags of every command:\n\n")
		writeFlags(&b, flags)
	}
	writeChildren(&b, root)
	return b.Bytes()
}

// Check compares the file with the manual of the command. With update it writes the file instead.
func Check(root *cobra.Command, file string, update bool) error {
	page := Page(root)
	if update {
		return os.WriteFile(file, page, 0o644)
	}
	have, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the manual: %w", err)
	}
	if !bytes.Equal(have, page) {
		return fmt.Errorf("%s is not what the commands say; run the test again with -update", file)
	}
	return nil
}

func writeChildren(b *bytes.Buffer, cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		if child.Hidden || child.Name() == "help" {
			continue
		}
		if !child.HasSubCommands() {
			writeCommand(b, child)
		}
		writeChildren(b, child)
	}
}

func writeCommand(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", cmd.CommandPath())
	writeDescription(b, cmd)
	fmt.Fprintf(b, "    %s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso: `%s`\n", strings.Join(cmd.Aliases, "`, `"))
	}
	if cmd.HasExample() {
		fmt.Fprintf(b, "\nExamples:\n\n")
		for line := range strings.Lines(strings.Trim(cmd.Example, "\n") + "\n") {
			fmt.Fprintf(b, "    %s", strings.TrimPrefix(line, "  "))
		}
	}
	if flags := shown(cmd.LocalFlags()); len(flags) > 0 {
		b.WriteString("\n")
		writeFlags(b, flags)
	}
}

func writeDescription(b *bytes.Buffer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "%s\n\n", strings.TrimSpace(text))
}

func shown(flags *pflag.FlagSet) []*pflag.Flag {
	var list []*pflag.Flag
	flags.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && flag.Name != "help" {
			list = append(list, flag)
		}
	})
	return list
}

var environment = regexp.MustCompile(` ?\(env ([A-Z_, ]+)\)`)

func writeFlags(b *bytes.Buffer, flags []*pflag.Flag) {
	b.WriteString("| Flag | Default | Environment | Meaning |\n|---|---|---|---|\n")
	for _, flag := range flags {
		value, text := pflag.UnquoteUsage(flag)
		name := "--" + flag.Name
		if value != "" {
			name += " " + strings.ToUpper(value)
		}
		name = code(name)
		if flag.Shorthand != "" {
			name = code("-"+flag.Shorthand) + ", " + name
		}
		initial, env := code(flag.DefValue), ""
		if slices.Contains([]string{"", "[]", "false", "0", "0s"}, flag.DefValue) {
			initial = ""
		}
		if found := environment.FindStringSubmatch(text); found != nil {
			initial, env = "", code(found[1])
			text = environment.ReplaceAllString(text, "")
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, initial, env, strings.NewReplacer("|", `\|`, "\n", " ").Replace(text))
	}
}

func code(text string) string { return "`" + text + "`" }
