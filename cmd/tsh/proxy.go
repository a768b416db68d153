package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func proxyCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "proxy", Short: "Run local proxies"}
	cmd.AddCommand(proxyDBCommand(g))
	return cmd
}

func proxyDBCommand(g *global) *cobra.Command {
	c := &choice{}
	var port int
	var tunnel bool
	cmd := &cobra.Command{
		Use:   "db [DATABASE]",
		Short: "Run a local proxy for a database, for clients that do without certificates",
		Long: `Run a proxy on this machine's loopback address. With --tunnel it adds your certificate itself: a client connects
to it without TLS and without a password. Whoever can open connections on this machine can use it as you, for
as long as it runs.`,
		Example: "  tsh proxy db --tunnel --port=15432 --db-user=alice --db-name=orders orders",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !tunnel {
				return fault.New(fault.BadParameter, "give --tunnel; a client that does TLS itself connects to the proxy without a local one: see tsh db login and tsh db config")
			}
			who, err := g.account()
			if err != nil {
				return err
			}
			renewer, r, err := c.renewer(cmd.Context(), who, args)
			if err != nil {
				return err
			}
			listener, err := localproxy.Listen(port)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Started authenticated tunnel for the %s database %q in cluster %q on %s.\n", r.Protocol, r.Service, who.credentials.Identity.Cluster, listener.Addr())
			if port == 0 {
				fmt.Fprintln(out, "Use --port to choose the port.")
			}
			fmt.Fprintf(out, "\nConnect with:\n\n  psql %s\n", shellQuote(fmt.Sprintf("postgres://%s@%s/%s", r.User, listener.Addr(), r.Name)))
			return newLocalProxy(who, renewer).Serve(cmd.Context(), listener)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().IntVarP(&port, "port", "p", 0, "port to listen on; a free one by default")
	cmd.Flags().BoolVar(&tunnel, "tunnel", false, "add the certificate here, so that clients need none")
	return cmd
}

// renewer keeps a database login fresh. Safe for concurrent use.
type renewer struct {
	who   *account
	route client.Route

	mu    sync.Mutex
	login *client.Credentials // guarded by mu
}

// renewBefore is how long before its end a login is renewed.
const renewBefore = time.Minute

// renewer finds the database that is meant and gets a login for it, in memory only.
func (c *choice) renewer(ctx context.Context, who *account, args []string) (*renewer, client.Route, error) {
	api := who.api()
	defer api.Close()
	db, err := c.pick(ctx, who, api, args)
	if err != nil {
		return nil, client.Route{}, err
	}
	r, err := c.route(db)
	if err != nil {
		return nil, r, err
	}
	login, err := client.DatabaseLogin(ctx, api, r, 0)
	return &renewer{who: who, route: r, login: login}, r, err
}

// tls returns the configuration for a new connection, with a fresh login when the last one is about to end.
func (n *renewer) tls(ctx context.Context) (*tls.Config, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.login.CheckValid(terminal.Now().Add(renewBefore)) != nil {
		if err := n.who.credentials.CheckValid(terminal.Now()); err != nil {
			return nil, err
		}
		api := n.who.api()
		defer api.Close()
		login, err := client.DatabaseLogin(ctx, api, n.route, 0)
		if err != nil {
			return nil, err
		}
		n.login = login
	}
	return n.login.DatabaseTLS()
}

func newLocalProxy(who *account, n *renewer) *localproxy.Proxy {
	return localproxy.New(localproxy.Config{
		Dial: client.DialProxy(who.proxy), TLS: n.tls,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}
