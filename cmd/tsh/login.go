package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/terminal"
)

// loginFlags are those of login.
type loginFlags struct {
	out, format string
	overwrite   bool
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
	return cmd
}

func (f *loginFlags) run(cmd *cobra.Command, g *global, args []string) error {
	if g.auth != "local" {
		return fault.New(fault.BadParameter, "--auth=%s is not available in this cluster; use --auth=local", g.auth)
	}
	home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
	if err != nil {
		return err
	}
	current, err := home.Current(g.proxy)
	if err != nil && !errors.Is(err, client.ErrNotLoggedIn) {
		return err
	}
	if f.out == "" && g.stillValid(current, args) {
		return printStatus(cmd, home, current, "text")
	}
	proxy, user := g.proxy, g.user
	if current != nil {
		proxy, user = orElse(proxy, current.WebProxyAddr), orElse(user, current.User)
	}
	if proxy == "" {
		return fault.New(fault.BadParameter, "give the address of the proxy with --proxy")
	}
	if user == "" {
		user = os.Getenv("USER")
	}
	credentials, address, err := g.login(cmd, proxy, user)
	if err != nil {
		return err
	}
	if f.out != "" {
		return f.writeIdentity(cmd, credentials)
	}
	profile := &client.Profile{WebProxyAddr: address, User: credentials.Identity.Name, Cluster: credentials.Identity.Cluster, TLSRouting: true, Insecure: g.insecure}
	if err := home.Save(profile, credentials); err != nil {
		return err
	}
	return printStatus(cmd, home, profile, "text")
}

func orElse(value, other string) string {
	if value != "" {
		return value
	}
	return other
}

// stillValid reports whether a login does what is asked for.
func (g *global) stillValid(p *client.Profile, args []string) bool {
	if p == nil || g.user != "" && g.user != p.User || len(args) == 1 && args[0] != p.Cluster {
		return false
	}
	credentials, err := p.Credentials()
	return err == nil && credentials.CheckValid(terminal.Now()) == nil
}

// login asks for password and code, and returns what was issued and the proxy's address.
func (g *global) login(cmd *cobra.Command, proxy, user string) (*client.Credentials, string, error) {
	ctx := cmd.Context()
	api, address, info, err := g.public(ctx, proxy)
	if err != nil {
		return nil, "", err
	}
	defer api.Close()
	if text := info.GetMessageOfTheDay(); text != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
	prompt := terminal.NewPrompt(cmd.InOrStdin(), cmd.ErrOrStderr())
	password, err := prompt.Secret(fmt.Sprintf("Enter password for user %s:", user))
	if err != nil {
		return nil, "", err
	}
	code := ""
	if info.GetSecondFactor() != "off" {
		if code, err = prompt.Secret("Enter the one-time code from your authenticator:"); err != nil {
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

// public returns a client of the part of the API that needs no certificate, at the first port that
// answers as a proxy.
func (g *global) public(ctx context.Context, proxy string) (*authapi.Client, string, *sallyportv1.PingResponse, error) {
	addresses := []string{proxy}
	if _, _, err := net.SplitHostPort(proxy); err != nil {
		addresses = []string{net.JoinHostPort(proxy, client.DefaultPort), net.JoinHostPort(proxy, "443")}
	}
	var failed error
	for _, address := range addresses {
		api := g.publicAPI(address)
		pingCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
		info, err := api.Cluster.Ping(pingCtx, &sallyportv1.PingRequest{})
		cancel()
		if err == nil {
			return api, address, info, nil
		}
		api.Close()
		if untrusted(err) {
			return nil, "", nil, fault.Wrap(fault.ConnectionProblem, err, "the web certificate of %s is not trusted by this machine; ask for the proxy's right address, or for tests use --insecure", address)
		}
		failed = errors.Join(failed, err)
	}
	return nil, "", nil, fault.Wrap(fault.ConnectionProblem, failed, "no proxy answers at %s; check the address", strings.Join(addresses, " or "))
}

func untrusted(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError))
}

func (g *global) publicAPI(address string) *authapi.Client {
	host := client.ProxyHost(address)
	config := mtls.Named(host, nil, nil, mtls.ProtocolHTTP2)
	if g.insecure {
		config = mtls.Insecure(host, mtls.ProtocolHTTP2)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
	}
	return authapi.New(&http.Client{Transport: authapi.NewTransport(dial, config)}, "https://"+address)
}

func (f *loginFlags) writeIdentity(cmd *cobra.Command, credentials *client.Credentials) error {
	if _, err := os.Stat(f.out); err == nil && !f.overwrite {
		return fault.New(fault.AlreadyExists, "%s exists; give --overwrite or another --out", f.out)
	}
	data, err := credentials.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(f.out, data, 0o600); err != nil {
		return fault.Wrap(fault.BadParameter, err, "%s cannot be written: choose another --out", f.out)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "The certificate has been written to %s\n", f.out)
	return err
}

func logoutCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Remove logins from this machine: that of --proxy, or all",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
			if err != nil {
				return err
			}
			var profiles []*client.Profile
			if g.proxy != "" {
				one, err := home.Current(g.proxy)
				if err != nil {
					return err
				}
				profiles = append(profiles, one)
			} else if profiles, err = home.Profiles(); err != nil {
				return err
			}
			for _, p := range profiles {
				if err := removeServiceSections(p); err != nil {
					return err
				}
				if err := home.Remove(p); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Logged out %s from %s.\n", p.User, p.WebProxyAddr)
			}
			if len(profiles) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "Nobody was logged in.")
			}
			return nil
		},
	}
}
