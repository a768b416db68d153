package terminal

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
	"sallyport/internal/version"
)

// VersionCommand returns the command that prints which build this is.
func VersionCommand() *cobra.Command {
	var format string
	var client bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format == "text" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), version.String())
				return err
			}
			return Encode(cmd.OutOrStdout(), format, version.Get())
		},
	}
	FormatFlag(cmd, &format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	cmd.Flags().BoolVar(&client, "client", false, "print the version of this program only, as it does in any case")
	return cmd
}

// completionCommand returns the command that prints the script by which a shell completes commands and
// flags.
func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print a completion script for a shell",
		Long:      "Prints the script by which bash, zsh, fish or powershell completes commands and flags. Load it at the start of the\nshell, as in: source <(COMMAND completion bash)",
		Args:      cobra.ExactArgs(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			default:
				return UsageError(cmd, fault.New(fault.BadParameter, "%q is no shell that is known here; use %s", args[0], alternatives(shells)))
			}
		},
	}
}
