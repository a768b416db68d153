package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/terminal"
)

// speaksPostgres reports whether clients of the protocol use libpq's files and variables.
func speaksPostgres(protocol string) bool { return protocol == "postgres" || protocol == "cockroachdb" }

// nativeOnly refuses protocols whose clients cannot do with files alone.
func nativeOnly(service, protocol string) error {
	if program, ok := programOf(protocol); !ok || program.native == nil {
		return fault.New(fault.BadParameter, "clients of %[1]s cannot show the certificate themselves; let tsh do it with tsh db connect %[2]s or tsh proxy db --tunnel %[2]s", protocol, service)
	}
	return nil
}

// endpoint is what a client needs to reach a database. Host names the database in the TLS
// server name, by which the proxy finds the agent; HostAddr is where the connection goes, so that no DNS
// entry is needed.
type endpoint struct {
	proxy                string // its host
	host, hostAddr, port string
	ca, cert, key        string
	user, database       string
	databaseType         string // as in client.Route; "" if it is not known
}

func endpointOf(who *account, login *client.Credentials) (endpoint, error) {
	return endpointAt(who, login, who.proxy)
}

// endpointAt is endpointOf for a port of the proxy that is for the database's protocol only.
func endpointAt(who *account, login *client.Credentials, proxy string) (endpoint, error) {
	r := login.Identity.Route
	host, port, err := net.SplitHostPort(proxy)
	if err != nil {
		return endpoint{}, fault.Wrap(fault.BadParameter, err, "%q is not host:port", proxy)
	}
	address, err := addressOf(host)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{proxy: host, host: route.ServerName(r.Service, login.Identity.Cluster), hostAddr: address, port: port,
		ca: who.profile.CAPath(), user: r.User, database: r.Database}
	e.cert, e.key = who.profile.DatabasePaths(r.Service)
	return e, nil
}

// addressOf returns the IP address of a host, which libpq wants beside the name.
func addressOf(host string) (string, error) {
	if net.ParseIP(host) != nil {
		return host, nil
	}
	addresses, err := net.LookupHost(host)
	if err != nil || len(addresses) == 0 {
		return "", fault.Wrap(fault.ConnectionProblem, err, "the address of the proxy %q cannot be looked up; check the name", host)
	}
	return addresses[0], nil
}

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
			if err != nil {
				return err
			}
			vars := make(map[string]string)
			switch r := login.Identity.Route; {
			case r.Protocol == resource.ProtocolMySQL:
				vars["MYSQL_GROUP_SUFFIX"] = groupSuffix(who.profile, r.Service)
				who.warnOfMariaDB(cmd.ErrOrStderr(), r.Service)
			case speaksPostgres(r.Protocol):
				vars = e.postgresVariables()
			default:
				return fault.New(fault.BadParameter, "clients of %s read no such variables; see tsh db config --format=cmd %s", r.Protocol, r.Service)
			}
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

// postgresVariables are those of libpq.
func (e endpoint) postgresVariables() map[string]string {
	vars := map[string]string{
		"PGHOST": e.host, "PGHOSTADDR": e.hostAddr, "PGPORT": e.port, "PGSSLMODE": "verify-full",
		"PGSSLROOTCERT": e.ca, "PGSSLCERT": e.cert, "PGSSLKEY": e.key, "PGGSSENCMODE": "disable",
	}
	if e.user != "" {
		vars["PGUSER"] = e.user
	}
	if e.database != "" {
		vars["PGDATABASE"] = e.database
	}
	return vars
}

// endpoint returns what a client of a stored login needs, whose that is, and the login.
func (g *global) endpoint(ctx context.Context, chosen *selector, args []string) (endpoint, *account, *client.Credentials, error) {
	who, err := g.account(ctx)
	if err != nil {
		return endpoint{}, nil, nil, err
	}
	login, err := chosen.login(ctx, who, args)
	if err != nil {
		return endpoint{}, nil, nil, err
	}
	service := login.Identity.Route.Service
	if login.Identity.Route.Protocol == resource.ProtocolMySQL {
		e, ok, err := who.mysqlEndpoint(ctx, login)
		if err == nil && !ok {
			err = who.noMySQLPort(service)
		}
		return e, who, login, err
	}
	if err := nativeOnly(service, login.Identity.Route.Protocol); err != nil {
		return endpoint{}, nil, nil, err
	}
	if who.dialer.Detours(who.proxy) {
		return endpoint{}, nil, nil, fault.New(fault.BadParameter, "something in front of the proxy ends TLS, so that clients need a local proxy; use %[1]s db connect %[2]s or %[1]s proxy db %[2]s", who.tsh, service)
	}
	e, err := endpointOf(who, login)
	if login.Identity.Route.Protocol == resource.ProtocolMongoDB {
		e.databaseType = typeOf(ctx, who, service)
	}
	return e, who, login, err
}

// typeOf asks for the type of a database; "" without an answer.
func typeOf(ctx context.Context, who *account, service string) string {
	api := who.api()
	defer api.Close()
	found, err := (&selector{}).candidates(ctx, api, service)
	if err != nil || len(found) != 1 {
		return ""
	}
	return found[0].Type()
}

// leads refuses a command whose program would look for the proxy by a name that does not lead there.
func leads(program program, e endpoint, service string) error {
	if !program.byName {
		return nil
	}
	if found, err := net.LookupHost(e.host); err != nil || !slices.Contains(found, e.hostAddr) {
		return fault.New(fault.BadParameter, "%[1]s finds the proxy by the database's own name, and here %[2]s does not lead to %[3]s; add it to the name server or to /etc/hosts, or use tsh db connect %[4]s or tsh proxy db %[4]s", program.names[0], e.host, e.hostAddr, service)
	}
	return nil
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
			out := cmd.OutOrStdout()
			port, err := strconv.Atoi(e.port)
			if err != nil {
				return fault.Wrap(fault.BadParameter, err, "%q is not a port", e.port)
			}
			switch format {
			case "cmd":
				if login.Identity.Route.Protocol == resource.ProtocolMySQL {
					line, err := who.mysqlCommand(e, login.Identity.Route.Service)
					if err == nil {
						_, err = fmt.Fprintln(out, line)
					}
					return err
				}
				program, _ := programOf(login.Identity.Route.Protocol)
				if err := leads(program, e, login.Identity.Route.Service); err != nil {
					return err
				}
				_, err = fmt.Fprintln(out, program.quoted(program.native(e)))
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

// url returns the connection URL of libpq.
func (e endpoint) url() string {
	query := url.Values{
		"hostaddr": {e.hostAddr}, "sslmode": {"verify-full"}, "sslrootcert": {e.ca}, "sslcert": {e.cert}, "sslkey": {e.key}, "gssencmode": {"disable"},
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(e.host, e.port), Path: "/" + e.database, RawQuery: query.Encode()}
	if e.user != "" {
		u.User = url.User(e.user)
	}
	return u.String()
}
