package main

import (
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

// program is the usual client of a protocol.
type program struct {
	names   []string // in order of preference
	install string   // what brings it
	// arguments are for connecting to a local proxy, without TLS, which the proxy adds. Name is the one that is run.
	arguments func(name string, address net.Addr, r client.Route) []string
}

// programOf returns the usual client of a protocol, and false if there is none.
func programOf(protocol string) (program, bool) {
	switch protocol {
	case "postgres", "cockroachdb":
		return program{[]string{"psql"}, "PostgreSQL's client", func(_ string, address net.Addr, r client.Route) []string {
			return []string{localURL(address, r)}
		}}, true
	case "mysql":
		return program{[]string{"mariadb", "mysql"}, "MariaDB's or MySQL's client", mysqlArguments}, true
	default:
		return program{}, false
	}
}

// find returns the path of the first of the names that is installed.
func (p *program) find() (string, error) {
	for _, name := range p.names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.NotFound, "%s was not found; install %s, or use tsh proxy db --tunnel with another one", strings.Join(p.names, " or "), p.install)
}

// line is the command by which a person connects to a local proxy.
func (p *program) line(address net.Addr, r client.Route) string {
	name := p.names[0]
	words := []string{name}
	for _, argument := range p.arguments(name, address, r) {
		words = append(words, shellQuote(argument))
	}
	return strings.Join(words, " ")
}

// localURL is the connection URL of the local proxy for PostgreSQL.
func localURL(address net.Addr, r client.Route) string {
	u := url.URL{Scheme: "postgres", User: url.User(r.User), Host: address.String(), Path: "/" + r.Name,
		RawQuery: url.Values{"sslmode": {"disable"}, "gssencmode": {"disable"}}.Encode()}
	return u.String()
}

// mysqlArguments are those of mariadb and mysql. The names of the option that switches TLS off differ between the two, and
// mysql may be either.
func mysqlArguments(name string, address net.Addr, r client.Route) []string {
	host, port, _ := net.SplitHostPort(address.String())
	noTLS := "--skip-ssl"
	if filepath.Base(name) == "mysql" {
		if version, err := exec.Command(name, "--version").Output(); err == nil && !strings.Contains(string(version), "MariaDB") {
			noTLS = "--ssl-mode=DISABLED"
		}
	}
	arguments := []string{"--protocol=TCP", "--host=" + host, "--port=" + port, noTLS, "--user=" + r.User}
	if r.Name != "" {
		arguments = append(arguments, "--database="+r.Name)
	}
	return arguments
}
