package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func dbConnectCommand(g *global) *cobra.Command {
	c := &choice{}
	var tunnel bool
	cmd := &cobra.Command{
		Use:   "connect [DATABASE]",
		Short: "Connect to a database with its usual client",
		Long: `Connect to a database with its usual client, psql for PostgreSQL, mariadb or mysql for MySQL and MariaDB, mongosh or mongo for
MongoDB, redis-cli for Redis, through a local proxy that adds your certificate. The client owns the terminal; tsh ends with the client's exit code.`,
		Example:           "  tsh db connect --db-user=alice --db-name postgres aurora",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.account(cmd.Context())
			if err != nil {
				return err
			}
			renewer, r, err := c.renewer(cmd.Context(), who, args)
			if err != nil {
				return err
			}
			program, ok := programOf(r.Protocol)
			if !ok {
				return fault.New(fault.BadParameter, "tsh db connect does not know a client for %s; use tsh proxy db --tunnel and your own client", r.Protocol)
			}
			binary, err := program.find()
			if err != nil {
				return err
			}
			listener, err := localproxy.Listen(0)
			if err != nil {
				return err
			}
			// Clients are told why a connection fails; a log would write over what they show.
			proxy := localproxy.Config{Dial: who.dialer.To(who.proxy), TLS: renewer.tls, Protocol: r.Protocol, Logger: slog.New(slog.DiscardHandler)}
			return runClient(cmd, &program, binary, r, proxy, listener)
		},
	}
	c.addFlags(cmd, g)
	cmd.Flags().BoolVar(&tunnel, "tunnel", true, "accepted for compatibility: the connection always goes through a tunnel")
	return cmd
}

// lastWords is how long what a client has written last may take to arrive, and how long a client may take to end that is told to.
const lastWords = 2 * time.Second

// runClient serves the client's connections while it runs, and ends with its exit code, or with why it was refused.
func runClient(cmd *cobra.Command, program *program, binary string, r client.Route, cfg localproxy.Config, listener net.Listener) error {
	// Ctrl-C is the client's: the terminal sends it to the client too, and main catches ours. Only an order
	// to end ends the session.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), syscall.SIGTERM)
	defer stop()
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	cfg.Refused = end
	proxy := localproxy.New(cfg)
	served := make(chan error, 1)
	go func() { served <- proxy.Serve(ctx, listener) }()
	child := program.process(running, binary, listener.Addr(), r)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), terminal.Beneath(cmd.OutOrStdout()), cmd.ErrOrStderr()
	err := child.Run()
	// The client's last words may still be on their way: its connections end by themselves.
	proxy.Finish(listener)
	late := time.AfterFunc(lastWords, stop)
	defer late.Stop()
	serveErr := <-served
	if refusal, ok := errors.AsType[*fault.Error](context.Cause(running)); ok {
		return refusal
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &terminal.ExitError{State: exit.Error(), Code: max(exit.ExitCode(), 1)} // a signal has no code
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "%s could not be run: %s", binary, err)
	}
	return serveErr
}
