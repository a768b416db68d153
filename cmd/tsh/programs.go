package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// program is the usual client of a protocol, and what else the protocol's clients use of a login.
type program struct {
	names   []string // in order of preference
	install string   // what brings it
	// arguments are for connecting to a local proxy, without TLS, which the proxy adds. Name is the one that is run.
	arguments func(name string, address net.Addr, r client.Route) []string
	// withheld are the variables of the environment that the client does not get from tsh.
	withheld withheld
	// needsUser says that the client comes as the system's user if it is not told an account.
	needsUser bool

	// native are for connecting with the files of a database login, to the cluster's proxy or to a local one that wants to see
	// them; nil if no such arguments serve every installation.
	native func(e endpoint) []string
	// byName says that the client finds the proxy by the name of the database, which has to lead there.
	byName bool
	// port asks the cluster's proxy where it takes clients with files; nil if that is where it takes everybody.
	port func(ctx context.Context, who *account) (nativePort, error)
	// command is what a person enters to connect to that port.
	command func(cmd *cobra.Command, who *account, e endpoint, service string) (string, error)

	// note writes a stored login into the file that the clients read, and reports whether they can connect with it; nil if
	// they read none.
	note func(cmd *cobra.Command, who *account, login *client.Credentials) (usable bool, err error)
	// variables are those of the environment that the clients read, with a warning to the writer if they do not suit what is
	// installed; nil if they read none.
	variables func(who *account, e endpoint, service string, warn io.Writer) map[string]string
	// drivers says that most clients are libraries, which a command is no help for.
	drivers bool
}

// programOf returns the usual client of a protocol, and false if there is none.
func programOf(protocol string) (program, bool) {
	switch protocol {
	case "postgres", "cockroachdb":
		return program{
			names: []string{"psql"}, install: "PostgreSQL's client",
			arguments: func(_ string, address net.Addr, r client.Route) []string { return []string{localURL(address, r)} },
			native:    func(e endpoint) []string { return []string{e.url()} },
			withheld:  postgresWithheld, note: notePostgres, variables: postgresVariables,
		}, true
	case "mysql":
		return program{
			names: []string{"mariadb", "mysql"}, install: "MariaDB's or MySQL's client", arguments: mysqlArguments, needsUser: true,
			withheld: mysqlWithheld, port: mysqlPort, command: mysqlCommand, note: noteMySQL, variables: mysqlVariables, drivers: true,
		}, true
	case "redis":
		return program{
			names: []string{"redis-cli"}, install: "Redis's tools", arguments: redisArguments, withheld: redisWithheld, native: redisNative,
		}, true
	case "mongodb":
		return program{
			names: []string{"mongosh", "mongo"}, install: "the MongoDB Shell",
			arguments: func(_ string, address net.Addr, r client.Route) []string {
				return []string{mongoURL(address.String(), r.Name, r.Type)}
			},
			withheld: mongoWithheld, native: mongoNative, byName: true,
		}, true
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

// process is the client, at a path, that connects to a local proxy.
func (p *program) process(ctx context.Context, path string, address net.Addr, r client.Route) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, p.arguments(path, address, r)...)
	cmd.Env = p.withheld.from(os.Environ())
	cmd.Cancel = func() error { // it may have the terminal to put in order
		if cmd.Process.Signal(syscall.SIGTERM) == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = lastWords
	return cmd
}

// takesFiles reports whether the protocol's clients can connect with the files of a login alone, if the proxy takes them.
func (p *program) takesFiles() bool { return p.native != nil || p.port != nil }

// line is the command by which a person connects to a local proxy.
func (p *program) line(address net.Addr, r client.Route) string {
	return p.quoted(p.arguments(p.names[0], address, r))
}

func (p *program) quoted(arguments []string) string {
	words := []string{p.names[0]}
	for _, argument := range arguments {
		words = append(words, shellQuote(argument))
	}
	return strings.Join(words, " ")
}

// localURL is the connection URL of the local proxy for PostgreSQL. Without the address, a variable of the environment would
// say where the client goes, and TLS is off.
func localURL(address net.Addr, r client.Route) string {
	host, _, _ := net.SplitHostPort(address.String()) // as listeners have them
	u := url.URL{Scheme: "postgres", User: url.User(r.User), Host: address.String(), Path: "/" + r.Name,
		RawQuery: url.Values{"hostaddr": {host}, "sslmode": {"disable"}, "gssencmode": {"disable"}}.Encode()}
	return u.String()
}

// mysqlArguments are those of mariadb and mysql. The names of the option that switches TLS off differ between the two, and
// mysql may be either.
func mysqlArguments(name string, address net.Addr, r client.Route) []string {
	host, port, _ := net.SplitHostPort(address.String())
	arguments := []string{noSuffix, "--protocol=TCP", "--host=" + host, "--port=" + port, "--skip-ssl", "--skip-ssl-verify-server-cert"}
	if filepath.Base(name) == "mysql" {
		if _, oracle := oracleClient(name); oracle {
			arguments = []string{"--protocol=TCP", "--host=" + host, "--port=" + port, "--ssl-mode=DISABLED"}
		}
	}
	arguments = append(arguments, "--user="+r.User)
	if r.Name != "" {
		arguments = append(arguments, "--database="+r.Name)
	}
	return arguments
}

// redisArguments name the account, so that a password which redis-cli finds in the environment is shown as that account's.
func redisArguments(_ string, address net.Addr, r client.Route) []string {
	host, port, _ := net.SplitHostPort(address.String()) // as listeners have them
	arguments := []string{"-h", host, "-p", port}
	if r.User != "" && r.User != "default" {
		arguments = append(arguments, "--user", r.User)
	}
	return redisDatabase(arguments, r.Name)
}

// redisNative names the database in TLS. The proxy's address does not have to be in the certificate: redis-cli asks
// for no name there.
func redisNative(e endpoint) []string {
	return redisDatabase([]string{"-h", e.hostAddr, "-p", e.port, "--tls", "--sni", e.host, "--cacert", e.ca, "--cert", e.cert, "--key", e.key}, e.database)
}

// redisDatabase adds the number of the logical database.
func redisDatabase(arguments []string, number string) []string {
	if number != "" {
		arguments = append(arguments, "-n", number)
	}
	return arguments
}

// mongoNative shows the certificate, whose file has the key too.
func mongoNative(e endpoint) []string {
	return []string{"--tls", "--tlsCAFile", e.ca, "--tlsCertificateKeyFile", e.cert, mongoURL(net.JoinHostPort(e.host, e.port), e.database, e.databaseType)}
}

// mongoURL is a connection string of MongoDB. The client is to talk to what it is told, and not to look for the other
// members of a replica set. It waits until an agent has given a database up, so that it hears why.
func mongoURL(address, database, databaseType string) string {
	patience := orElse(os.Getenv("TELEPORT_MONGO_SERVER_SELECTION_TIMEOUT_MS"), "20000")
	options := url.Values{"directConnection": {"true"}, "serverSelectionTimeoutMS": {patience}}
	if databaseType == resource.TypeDocumentDB {
		options.Set("retryWrites", "false") // which it does not have
	}
	u := url.URL{Scheme: "mongodb", Host: address, Path: "/" + database, RawQuery: options.Encode()}
	return u.String()
}
