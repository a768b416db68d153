package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func dbEnvCommand(g *global) *cobra.Command {
	var format string
	chosen := &selector{}
	cmd := &cobra.Command{
		Use:               "env [DATABASE]",
		Short:             "Print environment variables for a client of a database",
		Example:           `  eval "$(tsh db env orders)" && psql`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, who, login, err := g.endpoint(cmd.Context(), chosen, args)
			if err == nil {
				err = who.checkLogin(login)
			}
			if err != nil {
				return err
			}
			r := login.Identity.Route
			program, _ := programOf(r.Protocol)
			if program.variables == nil {
				return fault.New(fault.BadParameter, "clients of %s read no such variables; see tsh db config --format=cmd %s", r.Protocol, r.Service)
			}
			vars := program.variables(who, e, r.Service, cmd.ErrOrStderr())
			if format != "text" {
				return terminal.Encode(cmd.OutOrStdout(), format, vars)
			}
			for _, name := range slices.Sorted(maps.Keys(vars)) {
				fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", name, shellQuote(vars[name]))
			}
			return nil
		},
	}
	terminal.FormatFlag(cmd, &format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	chosen.addFlags(cmd)
	g.clusterFlag(cmd)
	return cmd
}

// endpoint returns what a client of a stored login needs, whose that is, and the login, which may have ended.
func (g *global) endpoint(ctx context.Context, chosen *selector, args []string) (endpoint, *account, *client.Credentials, error) {
	who, err := g.kept(ctx)
	if err == nil && g.identity != "" {
		err = who.ended // where its proxy listens is not known then
	}
	if err != nil {
		return endpoint{}, nil, nil, err
	}
	login, err := chosen.login(ctx, who, args)
	if err != nil {
		return endpoint{}, nil, nil, err
	}
	e, err := who.endpoint(ctx, login)
	return e, who, login, err
}

// shownConfig is what tsh db config shows as JSON or YAML.
type shownConfig struct {
	Name     string `json:"name" yaml:"name"`
	Host     string `json:"host" yaml:"host"`
	HostAddr string `json:"hostaddr" yaml:"hostaddr"`
	Port     int    `json:"port" yaml:"port"`
	User     string `json:"user,omitempty" yaml:"user,omitempty"`
	Database string `json:"database,omitempty" yaml:"database,omitempty"`
	CA       string `json:"ca" yaml:"ca"`
	Cert     string `json:"cert" yaml:"cert"`
	Key      string `json:"key" yaml:"key"`
}

func dbConfigCommand(g *global) *cobra.Command {
	var format string
	chosen := &selector{}
	cmd := &cobra.Command{
		Use:               "config [DATABASE]",
		Short:             "Print connection information for a graphical or other client of a database",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, who, login, err := g.endpoint(cmd.Context(), chosen, args)
			if err != nil {
				return err
			}
			if err := who.checkLogin(login); err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "WARNING: %s\n", fault.Message(err))
			}
			out := cmd.OutOrStdout()
			port, err := strconv.Atoi(e.port)
			if err != nil {
				return fault.Wrap(fault.BadParameter, err, "%q is not a port", e.port)
			}
			switch format {
			case "cmd":
				program, _ := programOf(login.Identity.Route.Protocol)
				line, err := who.commandOf(cmd, &program, e, login.Identity.Route.Service)
				if err == nil {
					_, err = fmt.Fprintln(out, line)
				}
				return err
			case "json", "yaml":
				return terminal.Encode(out, format, shownConfig{
					Name: login.Identity.Route.Service, Host: e.host, HostAddr: e.hostAddr, Port: port, User: e.user, Database: e.database,
					CA: e.ca, Cert: e.cert, Key: e.key,
				})
			}
			for _, line := range [][2]string{
				{"Name", login.Identity.Route.Service}, {"Host", e.host}, {"Address", e.hostAddr}, {"Port", e.port}, {"User", e.user},
				{"Database", e.database}, {"CA", e.ca}, {"Cert", e.cert}, {"Key", e.key},
			} {
				fmt.Fprintf(out, "%-11s%s\n", line[0]+":", line[1])
			}
			return nil
		},
	}
	terminal.FormatFlag(cmd, &format, "f", "output `format`: text, cmd, json or yaml", "text", "cmd", "json", "yaml")
	chosen.addFlags(cmd)
	g.clusterFlag(cmd)
	return cmd
}
