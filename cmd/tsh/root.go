package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// global are the flags of every command.
type global struct {
	proxy    string
	user     string
	ttl      int // minutes
	identity string
	cluster  string // flag of most commands
	insecure bool
	auth     string
	mfaMode  string
	detours  detour.Mode
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "tsh",
		Short: "Log in to a cluster and use its databases",
		Long: `tsh logs you in to a cluster with short-lived certificates and connects you to its databases. Logins are kept in
~/.tsh, or in the folder that TELEPORT_HOME names.

Behind a balancer that ends TLS, tsh reaches the proxy inside a WebSocket. It finds out by itself when that is needed;
TELEPORT_TLS_ROUTING_CONN_UPGRADE=yes spares it the attempt without, and "no" forbids it.`,
	}
	flags := root.PersistentFlags()
	flags.BoolP("debug", "d", false, "tell errors with their causes")
	flags.StringVar(&g.proxy, "proxy", os.Getenv("TELEPORT_PROXY"), "`address` of the proxy, host[:port] (env TELEPORT_PROXY)")
	flags.StringVar(&g.user, "user", os.Getenv("TELEPORT_USER"), "your user `name` (env TELEPORT_USER)")
	flags.IntVar(&g.ttl, "ttl", 0, "how many `minutes` the login is to last, of tsh login or of a database; within what your roles allow, and no longer than the login itself")
	flags.StringVarP(&g.identity, "identity", "i", os.Getenv("TELEPORT_IDENTITY_FILE"), "identity `file` to use instead of a login (env TELEPORT_IDENTITY_FILE)")
	flags.BoolVar(&g.insecure, "insecure", false, "do not verify the proxy's web certificate; for tests only")
	flags.StringVar(&g.auth, "auth", "local", "`how` to log in: local")
	flags.StringVar(&g.mfaMode, "mfa-mode", orElse(os.Getenv("TELEPORT_MFA_MODE"), "auto"), "second `factor` to use: auto or otp (env TELEPORT_MFA_MODE)")
	terminal.Choices(root, "mfa-mode", mfaModes...)
	terminal.Choices(root, "auth", "local")
	addFlagsWithoutEffect(root)
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		if g.detours, err = detour.ParseMode(os.Getenv(detour.Variable)); err != nil {
			return err
		}
		if err := client.CheckAddress("--proxy", g.proxy); err != nil {
			return err
		}
		return terminal.CheckChoice("--mfa-mode", g.mfaMode, mfaModes...)
	}
	root.AddCommand(loginCommand(g), logoutCommand(g), statusCommand(g), dbCommand(g), proxyCommand(g), playCommand(g), terminal.VersionCommand())
	terminal.Prepare(root)
	return root
}

var mfaModes = []string{"auto", "otp"}

// addFlagsWithoutEffect accepts what scripts written for servers of other kinds give.
func addFlagsWithoutEffect(root *cobra.Command) {
	flags := root.PersistentFlags()
	for _, name := range []string{"skip-version-check", "os-log"} {
		flags.Bool(name, false, "accepted, without effect")
		flags.Lookup(name).Hidden = true
	}
	for _, one := range []struct{ name, short string }{
		{"add-keys-to-agent", "k"}, {"bind-addr", ""}, {"callback", ""}, {"cert-format", ""}, {"mlock", ""},
	} {
		flags.StringP(one.name, one.short, "", "accepted, without effect")
		flags.Lookup(one.name).Hidden = true
	}
}

// clusterFlag adds --cluster.
func (g *global) clusterFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&g.cluster, "cluster", "c", os.Getenv("TELEPORT_CLUSTER"), "`name` of the cluster, which must be the one you are logged in to (env TELEPORT_CLUSTER)")
}

// again returns how to call tsh once more as the same account: with what was not in the environment.
func (g *global) again() string {
	words := []string{"tsh"}
	if g.identity != os.Getenv("TELEPORT_IDENTITY_FILE") {
		words = append(words, "-i", shellQuote(g.identity))
	}
	if g.proxy != os.Getenv("TELEPORT_PROXY") {
		words = append(words, "--proxy="+shellQuote(g.proxy))
	}
	return strings.Join(words, " ")
}

// account is who acts: a login in the home folder, or an identity file.
type account struct {
	credentials *client.Credentials
	proxy       string // host:port
	dialer      *detour.Dialer
	profile     *client.Profile
	insecure    bool          // the web certificate is not verified
	ttl         time.Duration // how long logins to databases are to last; 0 is as long as the login itself
	tsh         string        // how to call tsh as this account, for hints
	ended       error         // why the credentials are of no use now; nil but for what kept returns
}

// account returns the login to use.
func (g *global) account(ctx context.Context) (*account, error) {
	who, err := g.kept(ctx)
	if err == nil {
		err = who.ended
	}
	if err != nil {
		return nil, err
	}
	return who, nil
}

// kept returns the login to use, also one that has ended, for what needs only the files of this machine.
func (g *global) kept(ctx context.Context) (*account, error) {
	ttl, err := g.lifetime()
	if err != nil {
		return nil, err
	}
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return nil, err
	}
	var who *account
	if g.identity != "" {
		who, err = g.fromIdentity(ctx, home)
	} else {
		who, err = g.fromProfile(home)
	}
	if err != nil {
		return nil, err
	}
	if own := who.credentials.Identity.Cluster; g.cluster != "" && g.cluster != own {
		return nil, fault.New(fault.NotFound, "the cluster %q is not known: this login is for %q; leave out --cluster, or log in to the other one with tsh login --proxy=...", g.cluster, own)
	}
	who.tsh, who.ttl = g.again(), ttl
	return who, nil
}

// lifetime returns what --ttl says; 0 is nothing.
func (g *global) lifetime() (time.Duration, error) {
	if g.ttl < 0 {
		return 0, fault.New(fault.BadParameter, "--ttl must be positive, in minutes, as in --ttl=60")
	}
	return time.Duration(g.ttl) * time.Minute, nil
}

func (g *global) fromProfile(home client.Home) (*account, error) {
	profile, err := g.current(home)
	if err != nil {
		return nil, err
	}
	return g.accountOf(profile)
}

// current returns the login in use, which is that of the user and the proxy that were asked for, or none: nobody is to act as somebody else
// unawares.
func (g *global) current(home client.Home) (*client.Profile, error) {
	profile, err := home.Current(g.proxy)
	if err != nil || g.isOf(profile) {
		return profile, err
	}
	return nil, fault.New(fault.Unauthenticated, "you are logged in at %s as %s; for another login run tsh login --proxy=%s --user=%s, or leave out --proxy and --user and unset TELEPORT_PROXY and TELEPORT_USER",
		profile.WebProxyAddr, profile.User, orElse(g.proxy, profile.WebProxyAddr), orElse(g.user, profile.User))
}

// isOf reports whether a login at the proxy's host is for the user and the port that were asked for, if they were.
func (g *global) isOf(profile *client.Profile) bool {
	if g.user != "" && g.user != profile.User {
		return false
	}
	_, asked, err := net.SplitHostPort(g.proxy)
	if err != nil || asked == "" {
		return true // no port
	}
	_, port, err := net.SplitHostPort(profile.WebProxyAddr)
	return err != nil || port == asked
}

func (g *global) accountOf(profile *client.Profile) (*account, error) {
	credentials, err := profile.Credentials()
	if err != nil {
		return nil, err
	}
	insecure := g.insecure || profile.Insecure
	dialer := client.NewDialer(g.detours, insecure)
	if profile.Detours {
		dialer.Remember(profile.WebProxyAddr)
	}
	return &account{credentials: credentials, proxy: profile.WebProxyAddr, dialer: dialer, profile: profile, insecure: insecure, tsh: "tsh",
		ended: credentials.CheckValid(terminal.Now())}, nil
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
		if who, err := g.accountOf(profile); err == nil && who.ended == nil {
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
func (g *global) fromIdentity(ctx context.Context, home client.Home) (*account, error) {
	if g.proxy == "" {
		return nil, fault.New(fault.BadParameter, "--identity needs --proxy; give the address of the proxy")
	}
	credentials, err := client.ReadIdentityFile(g.identity)
	if err != nil {
		return nil, err
	}
	ended := credentials.CheckValid(terminal.Now())
	path, err := filepath.Abs(g.identity)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%s has no absolute path", g.identity)
	}
	dialer := client.NewDialer(g.detours, g.insecure)
	addresses := client.ProxyAddresses(g.proxy)
	proxy := addresses[0]
	if ended == nil { // others are not answered
		if proxy, err = credentials.Find(ctx, dialer, addresses); err != nil {
			return nil, err
		}
	}
	return &account{credentials: credentials, proxy: proxy, dialer: dialer, profile: home.ForIdentity(path, proxy, credentials), insecure: g.insecure, ended: ended}, nil
}

// api returns a client of the auth server as the account.
func (a *account) api() *authapi.Client { return a.credentials.API(a.dialer, a.proxy) }
