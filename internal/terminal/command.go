package terminal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport/internal/fault"
)

// Prepare gives a finished tree of commands the habits that all commands share: every boolean flag has a
// form --no-flag, mistakes in calling a command are told with its usage, nothing is printed behind the
// back of Exit, which also tells when the output could not be written, and there is a command that prints completion scripts.
func Prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(&output{to: root.OutOrStdout()})
	root.SetUsageTemplate(usage)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
			return chooseCommand(cmd, words) // a flag of a command that does not exist
		}
		return UsageError(cmd, fault.Wrap(fault.BadParameter, err, "%s", flagProblem(cmd, err)))
	})
	root.AddCommand(completionCommand())
	prepare(root)
}

func prepare(cmd *cobra.Command) {
	negate(cmd.PersistentFlags())
	negate(cmd.Flags())
	cmd.DisableFlagsInUseLine = true
	if cmd.Runnable() {
		cmd.Args = checkCall(cmd.Args)
	} else {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = chooseCommand
	}
	for _, child := range cmd.Commands() {
		prepare(child)
	}
}

// chooseCommand is what a command does that only has others below it.
func chooseCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &unknownCommand{cmd, "choose one of the commands below"}
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text += fmt.Sprintf("; did you mean %q?", meant[0])
	}
	return &unknownCommand{cmd, text}
}

// checkCall refuses missing flags and wrong numbers of arguments.
func checkCall(args cobra.PositionalArgs) cobra.PositionalArgs {
	if args == nil {
		args = cobra.NoArgs
	}
	return func(cmd *cobra.Command, given []string) error {
		var missing []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if slices.Contains(flag.Annotations[cobra.BashCompOneRequiredFlag], "true") && !flag.Changed {
				missing = append(missing, "--"+flag.Name)
			}
		})
		if len(missing) > 0 {
			verb := "is"
			if len(missing) > 1 {
				verb = "are"
			}
			return UsageError(cmd, fault.New(fault.BadParameter, "%s %s missing", strings.Join(missing, " and "), verb))
		}
		if err := args(cmd, given); err != nil {
			return UsageError(cmd, fault.Wrap(fault.BadParameter, err, "%s", argsProblem(cmd, given)))
		}
		return nil
	}
}

func argsProblem(cmd *cobra.Command, given []string) string {
	_, names, _ := strings.Cut(cmd.Use, " ")
	switch {
	case names == "":
		return fmt.Sprintf("%q takes no argument, but %q was given", cmd.CommandPath(), given[0])
	case len(given) == 0:
		return fmt.Sprintf("%q needs an argument: %s", cmd.CommandPath(), names)
	default:
		return fmt.Sprintf("%q takes %s, but %d arguments were given", cmd.CommandPath(), names, len(given))
	}
}

// flagProblem says in a sentence what the flag package says in its own form.
func flagProblem(cmd *cobra.Command, err error) string {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return "unknown flag -" + name
		}
		if meant := nearFlag(cmd, name); meant != "" {
			return fmt.Sprintf("unknown flag --%s; did you mean --%s?", name, meant)
		}
		return "unknown flag --" + name
	}
	if lacks, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		if lacks.GetSpecifiedShortnames() != "" {
			return fmt.Sprintf("-%s needs a value", lacks.GetSpecifiedName())
		}
		return fmt.Sprintf("--%s needs a value", lacks.GetSpecifiedName())
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return valueProblem(invalid)
	}
	return err.Error()
}

// valueProblem says of what kind the value of a flag must be.
func valueProblem(invalid *pflag.InvalidValueError) string {
	flag := invalid.GetFlag()
	wanted := ""
	switch flag.Value.Type() {
	case "duration":
		wanted = "a duration; write one like 30m, 1h30m or 12h"
	case "int", "int32", "int64", "uint":
		wanted = "a whole number"
	case "bool":
		wanted = "true or false"
	default:
		return fmt.Sprintf("--%s: %q cannot be read: %s", flag.Name, invalid.GetValue(), invalid.Unwrap())
	}
	return fmt.Sprintf("--%s: %q is not %s", flag.Name, invalid.GetValue(), wanted)
}

// nearFlag returns the flag that the name is probably meant to be, or "".
func nearFlag(cmd *cobra.Command, name string) string {
	meant := ""
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && meant == "" && near(name, flag.Name) {
			meant = flag.Name
		}
	})
	return meant
}

// near reports names that differ by one letter added, left out or changed, by two exchanged, or by a
// missing end.
func near(typed, name string) bool {
	if len(typed) >= 4 && strings.HasPrefix(name, typed) {
		return true
	}
	i := 0
	for i < min(len(typed), len(name)) && typed[i] == name[i] {
		i++
	}
	a, b := typed[i:], name[i:]
	switch len(a) - len(b) {
	case 0:
		return a == "" || a[1:] == b[1:] || len(a) >= 2 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	default:
		return false
	}
}

// negate adds a hidden flag --no-x for every boolean flag --x.
func negate(flags *pflag.FlagSet) {
	var negated []*pflag.Flag
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() == "bool" && !strings.HasPrefix(flag.Name, "no-") {
			negated = append(negated, flag)
		}
	})
	for _, flag := range negated {
		if flags.Lookup("no-"+flag.Name) != nil {
			continue
		}
		no := flags.VarPF(&negation{flag}, "no-"+flag.Name, "", "the opposite of --"+flag.Name)
		no.Hidden, no.NoOptDefVal = true, "true"
	}
}

// negation is the value of a flag --no-x.
type negation struct{ of *pflag.Flag }

func (n *negation) String() string { return "" }
func (n *negation) Type() string   { return "bool" }

func (n *negation) Set(text string) error {
	opposite := map[string]string{"true": "false", "false": "true"}[text]
	if opposite == "" {
		return fmt.Errorf("must be true or false, not %q", text)
	}
	n.of.Changed = true
	return n.of.Value.Set(opposite)
}
