package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

const defaultAuth = "127.0.0.1:3025"

// global are the flags of every command.
type global struct {
	configPath string
	authServer string
	identity   string
	insecure   bool
	detours    detour.Mode
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "tctl",
		Short: "Administer a cluster",
		Long: `tctl administers a cluster: users, roles, join tokens, databases, locks, certificates and the audit log.

On the auth server's host it needs no login: it finds the administrator's identity in the data directory, by
--config, then /etc/teleport.yaml, then /var/lib/teleport. Elsewhere it uses --identity with --auth-server, or
the login of tsh; then your roles decide what you may do.`,
	}
	flags := root.PersistentFlags()
	flags.BoolP("debug", "d", false, "tell errors with their causes")
	flags.StringVarP(&g.configPath, "config", "c", os.Getenv("TELEPORT_CONFIG_FILE"), "configuration `file` of the auth server on this host (env TELEPORT_CONFIG_FILE)")
	flags.StringVar(&g.authServer, "auth-server", os.Getenv("TELEPORT_AUTH_SERVER"), "`address` of the auth server or of a proxy, host:port (env TELEPORT_AUTH_SERVER)")
	flags.StringVarP(&g.identity, "identity", "i", os.Getenv("TELEPORT_IDENTITY_FILE"), "identity `file` made with tctl auth sign or tsh login --out (env TELEPORT_IDENTITY_FILE)")
	flags.BoolVar(&g.insecure, "insecure", false, "do not verify what ends TLS in front of a proxy; the auth server itself is always verified")
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		if g.detours, err = detour.ParseMode(os.Getenv(detour.Variable)); err != nil {
			return err
		}
		return client.CheckAddress("--auth-server", g.authServer)
	}
	root.AddCommand(statusCommand(g), tokensCommand(g), usersCommand(g), createCommand(g), getCommand(g), editCommand(g), rmCommand(g),
		dbCommand(g), lockCommand(g), authCommand(g), auditCommand(g), terminal.VersionCommand())
	terminal.Prepare(root)
	return root
}

// with returns the work of a command that begins with a client of the auth server.
func (g *global) with(run func(cmd *cobra.Command, args []string, api *authapi.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		api, err := g.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer api.Close()
		return run(cmd, args, api)
	}
}

// connect finds out as whom to act and where, and returns a client.
func (g *global) connect(ctx context.Context) (*authapi.Client, error) {
	if g.identity != "" {
		if g.authServer == "" {
			return nil, fault.New(fault.BadParameter, "--identity needs --auth-server; give the address of the auth server or of a proxy")
		}
		credentials, err := client.ReadIdentityFile(g.identity)
		if err != nil {
			return nil, err
		}
		if err := credentials.CheckValid(terminal.Now()); err != nil {
			return nil, err
		}
		return g.reach(ctx, credentials, g.authServer)
	}
	local, err := g.local(ctx)
	if local != nil {
		return local, nil
	}
	_, unseen := errors.AsType[*unseenError](err)
	if err != nil && !unseen {
		return nil, err
	}
	profile, noLogin := currentProfile()
	switch {
	case noLogin == nil:
		return g.fromProfile(ctx, profile)
	case unseen:
		return nil, fault.Wrap(fault.AccessDenied, err, "%s; or use a login of your own: run tsh login, or give --identity and --auth-server", fault.Message(err))
	default:
		return nil, noLogin
	}
}

// unseenError is the error of a user who may not see whether this is an auth server's host, and has not claimed that it is.
type unseenError struct{ error }

func (e *unseenError) Unwrap() error { return e.error }

// local returns a client with the administrator's identity of this host, or nil when this is no auth
// server's host.
func (g *global) local(ctx context.Context) (*authapi.Client, error) {
	dataDir, guessed, err := g.dataDir()
	if err != nil || dataDir == "" {
		return nil, err
	}
	path := filepath.Join(dataDir, config.AdminFile)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = fault.Wrap(fault.AccessDenied, err, "%s cannot be read; run tctl as the user that the auth server runs as", path)
			if guessed {
				err = &unseenError{err}
			}
			return nil, err
		}
		if g.configPath != "" {
			return nil, fault.Wrap(fault.NotFound, err, "%s does not exist; start the auth server of that configuration first", path)
		}
		return nil, nil
	}
	credentials, err := client.ReadIdentityFile(path)
	if err != nil {
		return nil, err
	}
	if err := credentials.CheckValid(terminal.Now()); err != nil {
		return nil, fault.Wrap(fault.Unauthenticated, err, "%s is out of date, because the auth server does not run or the clock is wrong; start the auth server, which renews it", path)
	}
	address := g.authServer
	if address == "" {
		address = localAddress(dataDir)
	}
	return g.reach(ctx, credentials, address)
}

// reach returns a client at the address, for which ports are tried if it has none.
func (g *global) reach(ctx context.Context, credentials *client.Credentials, address string) (*authapi.Client, error) {
	dialer := client.NewDialer(g.detours, g.insecure)
	address, err := credentials.Find(ctx, dialer, client.AuthAddresses(address))
	if err != nil {
		return nil, err
	}
	return credentials.API(dialer, address), nil
}

// dataDir returns the data directory of an auth server on this host, or an empty string. It is guessed where there is no
// configuration.
func (g *global) dataDir() (dir string, guessed bool, err error) {
	path := g.configPath
	if path == "" {
		if _, err := os.Stat(config.DefaultPath); err != nil {
			return config.DefaultDataDir, true, nil
		}
		path = config.DefaultPath
	}
	cfg, err := config.Load(path)
	switch {
	case g.configPath == "" && errors.Is(err, fs.ErrPermission):
		return "", false, &unseenError{err}
	case err != nil || !cfg.Auth.Enabled:
		return "", false, err
	}
	return cfg.DataDir, false, nil
}

// localAddress returns where the auth server of a data directory listens.
func localAddress(dataDir string) string {
	data, err := os.ReadFile(filepath.Join(dataDir, config.AddressFile))
	if err != nil {
		return defaultAuth
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(string(data)))
	if err != nil {
		return defaultAuth
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// currentProfile returns the login of tsh.
func currentProfile() (*client.Profile, error) {
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return nil, err
	}
	profile, err := home.Current("")
	if err != nil {
		return nil, fault.New(fault.Unauthenticated, "this is no auth server's host and nobody is logged in; run tsh login, or give --identity and --auth-server")
	}
	return profile, nil
}

func (g *global) fromProfile(ctx context.Context, profile *client.Profile) (*authapi.Client, error) {
	credentials, err := profile.Credentials()
	if err != nil {
		return nil, err
	}
	if err := credentials.CheckValid(terminal.Now()); err != nil {
		return nil, err
	}
	g.insecure = g.insecure || profile.Insecure
	address := g.authServer
	if address == "" {
		address = profile.WebProxyAddr
	}
	return g.reach(ctx, credentials, address)
}
