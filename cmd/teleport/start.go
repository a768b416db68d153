package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// startFlags are the flags that start and db start share.
type startFlags struct {
	config.Flags
	path string
	text string // of the configuration, in base64
}

func (f *startFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.path, "config", "c", "", "configuration `file`; /etc/teleport.yaml if it exists (env TELEPORT_CONFIG_FILE)")
	flags.StringVar(&f.text, "config-string", "", "the configuration itself, in `base64` (env TELEPORT_CONFIG)")
	flags.Lookup("config-string").Hidden = true
	flags.StringVar(&f.PIDFile, "pid-file", "", "`file` for the number of the process")
	flags.StringArrayVar(&f.AuthServers, "auth-server", nil, "`address` of a proxy or of the auth service to join, host:port; no auth service runs here then")
	flags.StringVar(&f.Token, "token", "", "join token, or the absolute path of a file that holds it")
	flags.StringArrayVar(&f.CAPins, "ca-pin", nil, "`pin` of the cluster's authority as tctl status prints it, or a file with pins; may be repeated")
	flags.StringVar(&f.DiagAddr, "diag-addr", "", "`address` for health checks and metrics over plain HTTP, such as 127.0.0.1:3000")
	flags.BoolVar(&f.Insecure, "insecure", false, "do not verify the web certificate of the proxy; the auth service is verified in any case")
	flags.BoolVar(&f.SkipVersionCheck, "skip-version-check", false, "accepted, without effect: versions are not compared")
	flags.BoolVar(&f.FIPS, "fips", false, "call AWS at its endpoints that are validated by FIPS 140; the program's own cryptography is not validated")
}

// load returns the configuration: the flags laid over the environment, the file and the defaults.
func (f *startFlags) load(cmd *cobra.Command) (*config.Config, error) {
	f.Debug = isDebug(cmd)
	cfg, err := f.file(cmd)
	if err != nil {
		return nil, err
	}
	if cfg.Detours, err = detour.ParseMode(os.Getenv(detour.Variable)); err != nil {
		return nil, err
	}
	return cfg, cfg.ApplyFlags(f.Flags)
}

func (f *startFlags) file(cmd *cobra.Command) (*config.Config, error) {
	if f.path != "" && f.text != "" {
		return nil, terminal.UsageError(cmd, fault.New(fault.BadParameter, "--config and --config-string exclude each other"))
	}
	path := f.path
	if path == "" {
		for _, source := range []struct{ name, text string }{
			{"--config-string", f.text}, {"the variable TELEPORT_CONFIG", os.Getenv("TELEPORT_CONFIG")},
		} {
			if source.text != "" {
				return config.FromBase64(source.text, source.name, config.SystemEnv())
			}
		}
		path = os.Getenv("TELEPORT_CONFIG_FILE")
	}
	if path != "" {
		cfg, err := config.Load(path)
		if fault.Is(err, fault.NotFound) {
			return nil, terminal.UsageError(cmd, err)
		}
		return cfg, err
	}
	if _, err := os.Stat(config.DefaultPath); errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return config.Load(config.DefaultPath)
}

func startCommand() *cobra.Command {
	f := &startFlags{}
	var plain bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the daemon in the foreground",
		Long: `Runs the services that the configuration and the flags enable, until a signal ends them. Without a configuration it
runs an auth service and a proxy: a cluster on one host.

Flags count more than the environment, the environment more than the file. SIGTERM and SIGINT stop the daemon and
end running sessions; SIGQUIT takes no new sessions and waits up to ten minutes for the running ones, or until the
next signal. One more SIGTERM or SIGINT while the daemon stops ends it at once. SIGHUP reads the web
certificates again, which happens within a minute anyway; other changes of the configuration need a restart.`,
		Example: `  teleport start
  teleport start --config=/etc/teleport.yaml
  teleport start --roles=db --auth-server=teleport.example.com:443 --token=/tmp/token --config=/etc/teleport.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			beforeServing()
			if plain {
				return fault.New(fault.BadParameter, "--insecure-no-tls is not available: the proxy always speaks TLS; let what stands before it pass connections on, or connect to it with TLS")
			}
			cfg, err := f.load(cmd)
			if err != nil {
				return err
			}
			return run(cmd.Context(), cfg)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.Roles, "roles", "r", nil, "services to run: auth, proxy and db, between commas")
	flags.StringVar(&f.Nodename, "nodename", "", "`name` of this host in listings; the host's name by default")
	flags.StringVar(&f.AdvertiseIP, "advertise-ip", "", "`host` under which others reach the proxy if it has no public address")
	flags.StringVarP(&f.ListenIP, "listen-ip", "l", "", "`ip` address to listen on; all by default")
	flags.StringVar(&f.Labels, "labels", "", "accepted, without effect: `labels` of databases are in the configuration")
	flags.BoolVar(&plain, "insecure-no-tls", false, "refused: the proxy always speaks TLS")
	flags.Bool("permit-user-env", false, "accepted, without effect")
	flags.Lookup("insecure-no-tls").Hidden, flags.Lookup("permit-user-env").Hidden = true, true
	flags.StringVar(&f.Bootstrap, "bootstrap", "", "`file` with resources that a new cluster begins with; ignored afterwards")
	flags.StringVar(&f.ApplyOnStartup, "apply-on-startup", "", "`file` with resources that are written at every start")
	return cmd
}
