package main

import (
	"context"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// endpoint is what a client needs to reach a database. Host names the database in the TLS
// server name, by which the proxy finds the agent; HostAddr is where the connection goes, so that no DNS
// entry is needed.
type endpoint struct {
	proxy                string // its host
	host, hostAddr, port string
	ca, cert, key        string
	user, database       string
	databaseType         string // as in client.Route; "" if it is not known
	endToEndOnly         bool   // clients have to name the database in TLS
}

// endpoint returns what clients need to connect with the files of a login, or refuses those that cannot.
func (a *account) endpoint(ctx context.Context, login *client.Credentials) (endpoint, error) {
	r := login.Identity.Route
	program, _ := programOf(r.Protocol)
	switch {
	case !program.takesFiles():
		return endpoint{}, tunnelOnly(r.Service, r.Protocol)
	case program.port != nil:
		e, ok, err := a.endpointAtPort(ctx, program.port, login)
		if err == nil && !ok {
			err = fault.New(fault.BadParameter, "this proxy has no port for clients of %[1]s that show the certificate themselves (proxy_service.%[1]s_listen_addr); let tsh do it with %[2]s db connect %[3]s or %[2]s proxy db --tunnel %[3]s", r.Protocol, a.tsh, r.Service)
		}
		return e, err
	case a.dialer.Detours(a.proxy):
		return endpoint{}, fault.New(fault.BadParameter, "something in front of the proxy ends TLS, so that clients need a local proxy; use %[1]s db connect %[2]s or %[1]s proxy db %[2]s", a.tsh, r.Service)
	}
	e, err := endpointOf(a, login)
	if r.Protocol == resource.ProtocolMongoDB && a.ended == nil {
		e.databaseType = typeOf(ctx, a, r.Service)
	}
	return e, err
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

// endpointAtPort returns what a client needs at a port of the proxy for its protocol; false if there is none.
func (a *account) endpointAtPort(ctx context.Context, port func(context.Context, *account) (nativePort, error), login *client.Credentials) (endpoint, bool, error) {
	at, err := port(ctx, a)
	if err != nil || at.address == "" {
		return endpoint{}, false, err
	}
	e, err := endpointAt(a, login, at.address)
	e.endToEndOnly = at.endToEndOnly
	return e, err == nil, err
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

// tunnelOnly refuses clients that cannot do with files alone.
func tunnelOnly(service, protocol string) error {
	return fault.New(fault.BadParameter, "clients of %[1]s cannot show the certificate themselves; let tsh do it with tsh db connect %[2]s or tsh proxy db --tunnel %[2]s", protocol, service)
}

// commandOf returns the command by which a person connects to the cluster's proxy with the files of a login.
func (a *account) commandOf(cmd *cobra.Command, program *program, e endpoint, service string) (string, error) {
	if program.command != nil {
		return program.command(cmd, a, e, service)
	}
	if program.byName && !e.leads(net.LookupHost) {
		return "", fault.New(fault.BadParameter, "%[1]s finds the proxy by the database's own name, and here %[2]s does not lead to %[3]s; add it to the name server or to /etc/hosts, or use tsh db connect %[4]s or tsh proxy db %[4]s", program.names[0], e.host, e.hostAddr, service)
	}
	return program.quoted(program.native(e)), nil
}

// lookup returns the addresses of a host, as net.LookupHost does.
type lookup func(host string) ([]string, error)

// leads reports whether the proxy is found by the name of the database.
func (e endpoint) leads(addresses lookup) bool {
	found, err := addresses(e.host)
	return err == nil && slices.Contains(found, e.hostAddr)
}

// filesLead reports whether clients of a protocol that has no port of its own get to the database with the files of a login.
func (a *account) filesLead(program *program, login *client.Credentials, addresses lookup) bool {
	if !program.takesFiles() || a.dialer.Detours(a.proxy) {
		return false
	}
	if !program.byName {
		return true
	}
	e, err := endpointOf(a, login)
	return err == nil && e.leads(addresses)
}
