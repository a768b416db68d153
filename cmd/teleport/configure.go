package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func configureCommand() *cobra.Command {
	var f config.File
	var output, test string
	var silent bool
	cmd := &cobra.Command{
		Use:   "configure",
		Short: "Write or check a configuration",
		Long: `Writes a configuration to start from: a cluster on one host, unless --roles says otherwise.

With --test it checks a file instead, and tells everything that is wrong with it, each with its line.

--output is stdout; file, for /etc/teleport.yaml; or file:///absolute/path. A file that is there already is not
overwritten.`,
		Example: `  teleport configure --cluster-name=teleport.example.com --public-addr=teleport.example.com:443 \
    --cert-file=/etc/ssl/teleport.pem --key-file=/etc/ssl/teleport.key --output=file
  teleport configure --test /etc/teleport.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if test != "" {
				return testFile(cmd, test)
			}
			f.Nodename = config.SystemEnv().Hostname
			text, err := config.Generate(f)
			if err != nil {
				return err
			}
			path, err := config.WriteOutput(cmd.OutOrStdout(), output, config.DefaultPath, text)
			if err != nil || path == "" || silent {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The configuration is in %q. Start the daemon with:\n\n    teleport start --config=%s\n\nThen add the first user with: tctl users add NAME --roles=editor,access\n", path, path)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&test, "test", "", "check this `file` and do nothing else")
	flags.StringVar(&f.ClusterName, "cluster-name", "", "`name` of the new cluster, for good; made from the host's name by default")
	flags.StringVar(&f.Version, "version", "v3", "`version` of the format: v1, v2 or v3")
	flags.StringVar(&f.DataDir, "data-dir", config.DefaultDataDir, "`directory` for everything that must survive a restart")
	flags.StringVar(&f.PublicAddr, "public-addr", "", "`address` under which users reach the proxy, host:port")
	flags.StringVar(&f.CertFile, "cert-file", "", "`file` with the proxy's web certificate")
	flags.StringVar(&f.KeyFile, "key-file", "", "`file` with the key of that certificate")
	flags.BoolVar(&f.ACME, "acme", false, "write an acme section; this version serves a self-signed certificate in that case")
	flags.StringVar(&f.ACMEEmail, "acme-email", "", "e-mail `address` for the acme section")
	flags.StringVar(&f.Token, "token", "", "join token, or the absolute path of a file that holds it when the service starts")
	flags.StringSliceVar(&f.Roles, "roles", nil, "services to enable: auth, proxy and db, between commas; auth and proxy by default")
	flags.StringVar(&f.AuthServer, "auth-server", "", "`address` of the auth service to join, host:port")
	flags.StringVar(&f.Proxy, "proxy", "", "`address` of the proxy to join through, host:port")
	flags.BoolVar(&silent, "silent", false, "say nothing when the file is written")
	flags.String("node-labels", "", "accepted, without effect: `labels` of hosts, which only other kinds of services have")
	addOutputFlag(cmd, &output)
	return cmd
}

// testFile says whether the file can be started with.
func testFile(cmd *cobra.Command, path string) error {
	stderr := cmd.ErrOrStderr()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return terminal.UsageError(cmd, fault.Wrap(fault.NotFound, err, "there is no file %s", path))
	}
	cfg, err := config.Load(path)
	if err == nil {
		err = cfg.ApplyFlags(config.Flags{})
	}
	if err != nil {
		fmt.Fprintf(stderr, "FAIL %s\n", path)
		return err
	}
	for _, warning := range cfg.Warnings {
		fmt.Fprintf(stderr, "WARNING: %s\n", warning)
	}
	_, err = fmt.Fprintf(stderr, "OK %s\n", path)
	return err
}
