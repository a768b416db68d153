package main

import (
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/fault"
)

func installCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "install", Short: "Make files for the system"}
	cmd.AddCommand(installSystemdCommand())
	return cmd
}

func installSystemdCommand() *cobra.Command {
	var unit config.Unit
	var output string
	cmd := &cobra.Command{
		Use:   "systemd",
		Short: "Make a systemd unit",
		Long: `Makes a unit that runs the daemon with /etc/teleport.yaml. The unit has no reload: restart it after changes of the
configuration. "systemctl restart" ends running sessions; "systemctl kill --signal=SIGQUIT" lets them end by themselves, for ten minutes
at most and without new ones, before the daemon starts again.

--output is stdout; file, for /etc/systemd/system/teleport.service; or an absolute path. A file that is there
already is not overwritten.`,
		Example: `  teleport install systemd -o /etc/systemd/system/teleport.service`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unit.Program == "" {
				path, err := os.Executable()
				if err != nil {
					return fault.Wrap(fault.BadParameter, err, "the path of this program is not known; give it with --teleport-path")
				}
				unit.Program = path
			}
			text, err := config.SystemdUnit(unit)
			if err != nil {
				return err
			}
			_, err = config.WriteOutput(cmd.OutOrStdout(), output, "/etc/systemd/system/teleport.service", text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&unit.EnvFile, "env-file", "/etc/default/teleport", "`file` with variables of the environment; need not exist")
	flags.StringVar(&unit.PIDFile, "pid-file", "/run/teleport.pid", "`file` for the number of the process")
	flags.IntVar(&unit.FDLimit, "fd-limit", 524288, "`number` of files and connections that the daemon may have open")
	flags.StringVar(&unit.Program, "teleport-path", "", "`path` of the daemon; this program by default")
	addOutputFlag(cmd, &output)
	return cmd
}
