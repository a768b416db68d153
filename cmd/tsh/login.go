package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// loginFlags are those of login.
type loginFlags struct {
	out, format string
	overwrite   bool
	browser     string // accepted
	verbose     bool
}

func loginCommand(g *global) *cobra.Command {
	f := &loginFlags{}
	cmd := &cobra.Command{
		Use:   "login [CLUSTER]",
		Short: "Log in to a cluster",
		Long: `Log in to a cluster with your password and a one-time code. The private key is made here and never leaves this
machine. While the login is valid, logging in again only shows it.`,
		Example: "  tsh login --proxy=teleport.example.com --user=alice",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, g, args) },
	}
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "write an identity `file` instead of keeping the login")
	terminal.FormatFlag(cmd, &f.format, "f", "`format` of --out: file", "file")
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "replace the file of --out")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show everything that is known about the login")
	cmd.Flags().StringVar(&f.browser, "browser", "", "accepted, without effect: `which` browser to open; logging in needs none")
	return cmd
}

func (f *loginFlags) run(cmd *cobra.Command, g *global, args []string) error {
	if g.auth != "local" {
		return fault.New(fault.BadParameter, "--auth=%s is not available in this cluster; use --auth=local", g.auth)
	}
	if g.identity != "" {
		return fault.New(fault.BadParameter, "an identity file is a login already; leave out --identity and unset TELEPORT_IDENTITY_FILE to log in as a user")
	}
	if _, err := g.lifetime(); err != nil {
		return err
	}
	cluster := orElse(strings.Join(args, ""), os.Getenv("TELEPORT_CLUSTER"))
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return err
	}
	current, err := home.Current(g.proxy)
	if err != nil && !errors.Is(err, client.ErrNotLoggedIn) {
		return err
	}
	if f.out == "" && g.stillValid(current, cluster) {
		return printStatus(cmd, home, current, statusFlags{format: "text", verbose: f.verbose})
	}
	proxy, user := g.proxy, g.user
	if current != nil {
		proxy, user = orElse(proxy, current.WebProxyAddr), orElse(user, current.User)
	}
	if proxy == "" {
		return fault.New(fault.BadParameter, "give the address of the proxy with --proxy")
	}
	if user == "" {
		if user, err = localUser(); err != nil {
			return err
		}
	}
	if err := f.refuseOverwriting(); err != nil {
		return err
	}
	credentials, address, err := g.login(cmd, proxy, user, cluster)
	if err != nil {
		return err
	}
	if f.out != "" {
		return f.writeIdentity(cmd, credentials)
	}
	profile := &client.Profile{
		WebProxyAddr: address, User: credentials.Identity.Name, Cluster: credentials.Identity.Cluster,
		AuthConnector: g.auth, MFAMode: g.mfaMode, Insecure: g.insecure, Detours: g.needsDetour(cmd.Context(), credentials, address),
	}
	if err := home.Save(profile, credentials); err != nil {
		return err
	}
	return printStatus(cmd, home, profile, statusFlags{format: "text", verbose: f.verbose})
}

// needsDetour reports whether the proxy is reached by a detour only, as far as that can be found out now.
func (g *global) needsDetour(ctx context.Context, credentials *client.Credentials, address string) bool {
	if g.detours != detour.WhenNeeded {
		return false // not to be found out
	}
	dialer := client.NewDialer(g.detours, g.insecure)
	api := credentials.API(dialer, address)
	defer api.Close()
	_, err := api.Cluster.Ping(ctx, &sallyportv1.PingRequest{})
	return err == nil && dialer.Detours(address)
}

// localUser returns the name of the person at this machine, under which to log in when nobody says another.
func localUser() (string, error) {
	if name := os.Getenv("USER"); name != "" {
		return name, nil
	}
	who, err := user.Current()
	if err != nil || who.Username == "" {
		return "", fault.Wrap(fault.BadParameter, err, "say as whom to log in with --user")
	}
	return who.Username, nil
}

func orElse(value, other string) string {
	if value != "" {
		return value
	}
	return other
}

// stillValid reports whether a login does what is asked for.
func (g *global) stillValid(p *client.Profile, cluster string) bool {
	if p == nil || !g.isOf(p) || cluster != "" && cluster != p.Cluster {
		return false
	}
	credentials, err := p.Credentials()
	return err == nil && credentials.CheckValid(terminal.Now()) == nil
}

// login asks for password and code, and returns what was issued and the proxy's address. The name of the
// cluster may be empty.
func (g *global) login(cmd *cobra.Command, proxy, user, cluster string) (*client.Credentials, string, error) {
	ctx := cmd.Context()
	api, address, info, err := g.public(ctx, proxy)
	if err != nil {
		return nil, "", err
	}
	defer api.Close()
	if own := info.GetClusterName(); cluster != "" && cluster != own {
		return nil, "", fault.New(fault.NotFound, "the cluster %q is not known to the proxy at %s, which serves %q; leave out the name, or give the proxy of that cluster with --proxy", cluster, address, own)
	}
	if text := info.GetMessageOfTheDay(); text != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
	prompt := terminal.NewPrompt(cmd.InOrStdin(), cmd.ErrOrStderr())
	password, err := prompt.Secret(ctx, fmt.Sprintf("Enter password for user %s:", user))
	if err != nil {
		return nil, "", err
	}
	code := ""
	if info.GetSecondFactor() != "off" {
		if code, err = prompt.Secret(ctx, "Enter the one-time code from your authenticator:"); err != nil {
			return nil, "", err
		}
	}
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, "", err
	}
	res, err := api.Login.Login(ctx, &sallyportv1.LoginRequest{
		User: user, Password: password, TotpCode: strings.ReplaceAll(code, " ", ""), PublicKey: public,
		Ttl: durationpb.New(time.Duration(g.ttl) * time.Minute),
	})
	if fault.Is(err, fault.Unauthenticated) { // proxies ask for people who have no certificate yet
		err = fault.Wrap(fault.BadParameter, err, "%s is the address of the auth server, at which nobody logs in; give that of the proxy with --proxy", address)
	}
	if err != nil {
		return nil, "", err
	}
	trust, err := authapi.TrustOf(res.GetClusterName(), res.GetAuthorities())
	if err != nil {
		return nil, "", err
	}
	credentials, err := client.NewCredentials(key, res.GetCertificate(), trust)
	return credentials, address, err
}

// refuseOverwriting refuses a file that exists, before anything is asked.
func (f *loginFlags) refuseOverwriting() error {
	if f.out == "" || f.overwrite {
		return nil
	}
	if _, err := os.Stat(f.out); err == nil {
		return fault.New(fault.AlreadyExists, "%s exists; give --overwrite or another --out", f.out)
	}
	return nil
}

func (f *loginFlags) writeIdentity(cmd *cobra.Command, credentials *client.Credentials) error {
	data, err := credentials.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(f.out, data, 0o600); err != nil {
		return fault.Wrap(fault.BadParameter, err, "%s cannot be written: %s; choose another --out", f.out, fault.Reason(err))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "The certificate has been written to %s\n", f.out)
	return err
}

func logoutCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Remove logins from this machine: that of --proxy, or all",
		Long: `Remove logins from this machine, with the logins to databases: that of --proxy, or all. All are also the logins to
databases that were made with identity files; the identity files themselves stay.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.identity != "" { // it would remove somebody else's login
				return fault.New(fault.BadParameter, "an identity file is not a login that is kept here; delete the file to be rid of it, tsh db logout removes its database logins, and without --identity and TELEPORT_IDENTITY_FILE this command removes logins")
			}
			home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
			if err != nil {
				return err
			}
			var profiles []*client.Profile
			if g.proxy != "" {
				one, err := g.current(home)
				if err != nil {
					return err
				}
				profiles = append(profiles, one)
			} else if profiles, err = home.Profiles(); err != nil {
				return err
			}
			for _, p := range profiles {
				if err := removeAllSections(p); err != nil {
					return err
				}
				if err := home.Remove(p); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Logged out %s from %s.\n", p.User, p.WebProxyAddr)
			}
			forgotten := false
			if g.proxy == "" {
				if forgotten, err = forgetIdentities(home); err != nil {
					return err
				}
			}
			switch {
			case forgotten:
				fmt.Fprintln(cmd.OutOrStdout(), "Logged out of all databases that identity files were used for.")
			case len(profiles) == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "Nobody was logged in.")
			}
			return nil
		},
	}
}

// forgetIdentities removes what is stored for identity files, and reports whether there was a login to a database. The files may be gone,
// so that nobody else could.
func forgetIdentities(home client.Home) (forgotten bool, err error) {
	all, err := home.Identities()
	if err != nil {
		return false, err
	}
	for _, p := range all {
		if err := removeAllSections(p); err != nil {
			return false, err
		}
	}
	return len(all) > 0, home.RemoveIdentities()
}
