package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/terminal"
)

func proxyCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "proxy", Short: "Run local proxies"}
	cmd.AddCommand(proxyDBCommand(g))
	return cmd
}

// proxyFlags are those of proxy db.
type proxyFlags struct {
	choice
	port   int
	tunnel bool
}

func proxyDBCommand(g *global) *cobra.Command {
	f := &proxyFlags{}
	cmd := &cobra.Command{
		Use:   "db [DATABASE]",
		Short: "Run a local proxy for a database",
		Long: `Run a proxy on this machine's loopback address until it is interrupted.

With --tunnel it adds your certificate itself: a client connects to it without TLS and without a password. Whoever
can open connections on this machine can use it as you, for as long as it runs.

Without --tunnel it serves clients that present the certificate of your database login, which is stored first if
need be: give them "localhost", the port, and the three files that are printed.`,
		Example: "  tsh proxy db --tunnel --port=15432 --db-user=alice --db-name=orders orders\n" +
			"  tsh proxy db --port=15432 --db-user=alice --db-name=orders orders",
		Annotations:       map[string]string{serves: ""},
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.account(cmd.Context())
			if err != nil {
				return err
			}
			if f.tunnel {
				return f.runTunnel(cmd, who, args)
			}
			return f.runTLS(cmd, who, args)
		},
	}
	f.addFlags(cmd, g)
	cmd.Flags().IntVarP(&f.port, "port", "p", 0, "`port` to listen on; a free one by default")
	cmd.Flags().BoolVar(&f.tunnel, "tunnel", false, "add the certificate here, so that clients need none")
	return cmd
}

// runTunnel serves clients without certificates.
func (f *proxyFlags) runTunnel(cmd *cobra.Command, who *account, args []string) error {
	renewer, r, err := f.renewer(cmd.Context(), who, args)
	if err != nil {
		return err
	}
	listener, err := localproxy.Listen(f.port)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Started authenticated tunnel for the %s database %q in cluster %q on %s.\n", r.Protocol, r.Service, who.credentials.Identity.Cluster, listener.Addr())
	f.printPortHint(out)
	if program, ok := programOf(r.Protocol); ok {
		fmt.Fprintf(out, "\nConnect with:\n\n  %s\n", program.line(listener.Addr(), r))
	}
	proxy := localproxy.New(localproxy.Config{Dial: who.dialer.To(who.proxy), TLS: renewer.tls, Protocol: r.Protocol, Logger: proxyLog(cmd)})
	return proxy.Serve(cmd.Context(), listener)
}

// runTLS serves clients that present the certificate of the stored database login.
func (f *proxyFlags) runTLS(cmd *cobra.Command, who *account, args []string) error {
	db, err := f.ensureLogin(cmd, who, args)
	if err != nil {
		return err
	}
	service := db.GetName()
	login := func() (*client.Credentials, error) { return stored(who, service) }
	first, err := login()
	if err != nil {
		return err
	}
	local, err := localproxy.LocalCertificate(who.profile.LocalCAPath(), terminal.Now())
	if err != nil {
		return err
	}
	listener, err := localproxy.Listen(f.port)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	cert, key := who.profile.DatabasePaths(service)
	fmt.Fprintf(out, "Started DB proxy on %s\n", listener.Addr())
	f.printPortHint(out)
	fmt.Fprintf(out, "\nConnect to localhost with these files:\n\n  ca_file=%s\n  cert_file=%s\n  key_file=%s\n", who.profile.LocalCAPath(), cert, key)
	if program, ok := programOf(db.Spec.Protocol); ok {
		r := first.Identity.Route
		host, port, _ := net.SplitHostPort(listener.Addr().String()) // as listeners have them
		local := endpoint{host: "localhost", hostAddr: host, port: port, ca: who.profile.LocalCAPath(), cert: cert, key: key, user: r.User, database: r.Database, databaseType: db.Type()}
		fmt.Fprintf(out, "\nfor example with:\n\n  %s\n", program.quoted(program.native(local)))
	}
	proxy := localproxy.New(localproxy.Config{
		Dial: who.dialer.To(who.proxy),
		TLS: func(context.Context) (*tls.Config, error) {
			current, err := login()
			if err != nil {
				return nil, err
			}
			return current.DatabaseTLS()
		},
		Local: mtls.Local(local, func() (*x509.Certificate, error) {
			current, err := login()
			if err != nil {
				return nil, err
			}
			return current.Cert, nil
		}, route.NativePostgres),
		Protocol: first.Identity.Route.Protocol,
		Logger:   proxyLog(cmd),
	})
	return proxy.Serve(cmd.Context(), listener)
}

// ensureLogin returns the database whose stored login does what the flags say, after storing it if need be.
func (f *proxyFlags) ensureLogin(cmd *cobra.Command, who *account, args []string) (*client.Database, error) {
	api := who.api()
	defer api.Close()
	db, err := f.pick(cmd.Context(), who, api, args)
	if err == nil {
		err = served(db)
	}
	if err == nil {
		err = localOnly(cmd.Context(), who, db)
	}
	if err != nil {
		return nil, err
	}
	if login, err := stored(who, db.GetName()); err == nil && who.ttl == 0 {
		r := login.Identity.Route
		if (r.User != "" || !namesAccount(db.Spec.Protocol)) && (f.dbUser == "" || f.dbUser == r.User) && (f.dbName == "" || f.dbName == r.Database) {
			return db, nil
		}
	}
	r := f.forLogin(db)
	if namesAccount(r.Protocol) {
		if r, err = f.route(who, db); err != nil {
			return nil, err
		}
	}
	r.ProxyTerminated = true
	_, err = storeLogin(cmd, who, api, r)
	return db, err
}

// localOnly refuses databases whose clients cannot use a local proxy with files alone. A client that can do TLS itself does not
// need one where the cluster's proxy has a port for it.
func localOnly(ctx context.Context, who *account, db *client.Database) error {
	program, _ := programOf(db.Spec.Protocol)
	if program.native != nil {
		return nil
	}
	tunnel := fmt.Sprintf("a local proxy for %[1]s is always a tunnel: use %[2]s proxy db --tunnel %[3]s", db.Spec.Protocol, who.tsh, db.GetName())
	if program.port != nil {
		if at, err := program.port(ctx, who); err == nil && at.address != "" {
			return fault.New(fault.BadParameter, "%[1]s; or connect a client that does TLS itself without one, as %[2]s db config %[3]s shows after %[2]s db login %[3]s", tunnel, who.tsh, db.GetName())
		}
	}
	return fault.New(fault.BadParameter, "%s, or %s db connect %s", tunnel, who.tsh, db.GetName())
}

// namesAccount reports whether the certificate of a login has to say the account, because clients of the protocol do not.
func namesAccount(protocol string) bool { return resource.ProtocolNamed(protocol).AccountInLogin }

func (f *proxyFlags) printPortHint(out io.Writer) {
	if f.port == 0 {
		fmt.Fprintln(out, "Use --port to choose the port.")
	}
}

// proxyLog tells of connections that failed: for the person who started the proxy, who may not be at the client.
func proxyLog(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}
