package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// global are the flags of every command.
type global struct {
	proxy    string
	user     string
	ttl      int // minutes
	identity string
	insecure bool
	auth     string
	mfaMode  string
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "tsh",
		Short: "Log in to a cluster and use its databases",
		Long: `tsh logs you in to a cluster with short-lived certificates and connects you to its databases. Logins are kept in
~/.tsh, or in the folder that TELEPORT_HOME names.`,
	}
	flags := root.PersistentFlags()
	flags.BoolP("debug", "d", false, "tell errors with their causes")
	flags.StringVar(&g.proxy, "proxy", os.Getenv("TELEPORT_PROXY"), "`address` of the proxy, host[:port] (env TELEPORT_PROXY)")
	flags.StringVar(&g.user, "user", os.Getenv("TELEPORT_USER"), "your user `name` (env TELEPORT_USER)")
	flags.IntVar(&g.ttl, "ttl", 0, "how many `minutes` the login is to last; within what your roles allow")
	flags.StringVarP(&g.identity, "identity", "i", os.Getenv("TELEPORT_IDENTITY_FILE"), "identity `file` to use instead of a login (env TELEPORT_IDENTITY_FILE)")
	flags.BoolVar(&g.insecure, "insecure", false, "do not verify the proxy's web certificate; for tests only")
	flags.StringVar(&g.auth, "auth", "local", "`how` to log in: local")
	flags.StringVar(&g.mfaMode, "mfa-mode", "auto", "second `factor` to use: auto or otp")
	root.AddCommand(loginCommand(g), logoutCommand(g), statusCommand(g), dbCommand(g), proxyCommand(g), playCommand(g), terminal.VersionCommand())
	terminal.Prepare(root)
	return root
}

// account is who acts: a login in the home folder, or an identity file.
type account struct {
	credentials *client.Credentials
	proxy       string // host:port
	profile     *client.Profile
}

// account returns the login to use.
func (g *global) account() (*account, error) {
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return nil, err
	}
	if g.identity != "" {
		return g.fromIdentity(home)
	}
	profile, err := home.Current(g.proxy)
	if err != nil {
		return nil, err
	}
	return accountOf(profile)
}

func accountOf(profile *client.Profile) (*account, error) {
	credentials, err := profile.Credentials()
	if err != nil {
		return nil, err
	}
	if err := credentials.CheckValid(terminal.Now()); err != nil {
		return nil, err
	}
	return &account{credentials, profile.WebProxyAddr, profile}, nil
}

// accounts returns all logins that are valid now.
func (g *global) accounts() ([]*account, error) {
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return nil, err
	}
	profiles, err := home.Profiles()
	if err != nil {
		return nil, err
	}
	var all []*account
	for _, profile := range profiles {
		if who, err := accountOf(profile); err == nil { // others have ended
			all = append(all, who)
		}
	}
	if len(all) == 0 {
		return nil, client.ErrNotLoggedIn
	}
	return all, nil
}

// fromIdentity uses an identity file. What database clients need as files goes to a folder of its own
// beside the logins.
func (g *global) fromIdentity(home client.Home) (*account, error) {
	if g.proxy == "" {
		return nil, fault.New(fault.BadParameter, "--identity needs --proxy; give the address of the proxy")
	}
	credentials, err := client.ReadIdentityFile(g.identity)
	if err != nil {
		return nil, err
	}
	if err := credentials.CheckValid(terminal.Now()); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(g.identity)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%s has no absolute path", g.identity)
	}
	proxy := client.WithPort(g.proxy)
	return &account{credentials, proxy, home.ForIdentity(path, proxy, credentials)}, nil
}

// api returns a client of the auth server as the account.
func (a *account) api() *authapi.Client { return a.credentials.API(a.proxy) }

// silent is an error that was told already; the exit code is what remains.
type silent struct{ code int }

func (s silent) Error() string { return "" }

// ExitCode implements terminal.Exit's interface.
func (s silent) ExitCode() int { return s.code }
