package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

const (
	pingTime  = 10 * time.Second
	maxAnswer = 64 << 10 // bytes
)

// nativePort is where clients connect that do TLS themselves.
type nativePort struct {
	address      string // host:port; "" means nowhere
	endToEndOnly bool   // clients that do not name their database in TLS are turned away
}

// mysqlPort asks the proxy for its port for clients of MySQL.
func mysqlPort(ctx context.Context, a *account) (port nativePort, err error) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	trust := func() *mtls.Trust { return a.credentials.Trust } // by which other commands know the cluster too
	config := mtls.ToProxy(client.ProxyHost(a.proxy), a.insecure, trust, mtls.ProtocolHTTP2, mtls.ProtocolHTTP)
	transport := authapi.NewTransport(client.NewDialer(detour.Never, a.insecure).To(a.proxy), config)
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+a.proxy+"/webapi/ping", nil)
	if err != nil {
		return port, fault.Wrap(fault.BadParameter, err, "%q is not the address of a proxy", a.proxy)
	}
	response, err := named{transport}.RoundTrip(request)
	switch {
	case untrusted(err):
		return port, fault.Wrap(fault.ConnectionProblem, err, "the web certificate of %s is not trusted by this machine, so that the proxy cannot be asked for its port for clients of MySQL; for tests use --insecure", a.proxy)
	case err != nil:
		return port, fault.Wrap(fault.ConnectionProblem, err, "the proxy at %s does not tell its port for clients of MySQL; check the address", a.proxy)
	}
	defer response.Body.Close()
	var about struct {
		Proxy struct {
			DB struct {
				MySQL        string `json:"mysql_public_addr"`
				EndToEndOnly bool   `json:"end_to_end_only"`
			} `json:"db"`
		} `json:"proxy"`
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return port, fault.New(fault.LimitExceeded, "too many requests from your address; wait a few seconds and try again")
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&about); err != nil || response.StatusCode != http.StatusOK {
		return port, fault.Wrap(fault.ConnectionProblem, err, "the proxy at %s answers with %s; check the address", a.proxy, response.Status)
	}
	return nativePort{about.Proxy.DB.MySQL, about.Proxy.DB.EndToEndOnly}, nil
}

// oracleVersion is how Oracle's client introduces itself, which has counted with the server since 8.0.
var oracleVersion = regexp.MustCompile(`\bVer ([0-9]+)\.([0-9]+)\.[^ ,]* for `)

// namesDatabases reports whether Oracle's client can name the database in TLS, by what it prints as its version: since 8.1.
func namesDatabases(version string) bool {
	parts := oracleVersion.FindStringSubmatch(version)
	if parts == nil {
		return false
	}
	major, _ := strconv.Atoi(parts[1])
	minor, _ := strconv.Atoi(parts[2])
	return major > 8 || major == 8 && minor >= 1
}

// oracleClient returns what Oracle's client prints as its version, or false if that program is missing or MariaDB's.
func oracleClient(program string) (version string, installed bool) {
	out, err := exec.Command(program, "--no-defaults", "--version").Output()
	return string(out), err == nil && !strings.Contains(string(out), "MariaDB")
}

// noSuffix comes first of the options of MariaDB's programs, which do not run where MYSQL_GROUP_SUFFIX, that of tsh db env,
// has them read the section that tsh db login writes.
const noSuffix = "--defaults-group-suffix="

// mysqlVariables name the section that tsh db login writes. Programs of MariaDB do not run with that.
func mysqlVariables(a *account, _ endpoint, service string, warn io.Writer) map[string]string {
	vars := map[string]string{"MYSQL_GROUP_SUFFIX": groupSuffix(a.profile, service)}
	if _, installed := oracleClient("mysql"); installed {
		return vars
	}
	client := program{names: []string{"mariadb", "mysql"}}
	if _, err := client.find(); err == nil {
		fmt.Fprintf(warn, "WARNING: mariadb and other programs of MariaDB, as they are installed here, refuse to run with this variable (unknown variable 'tls-sni-servername=…'); for them use %[1]s db connect %[2]s or the command of %[1]s db config --format=cmd %[2]s, or unset MYSQL_GROUP_SUFFIX\n", a.tsh, service)
	}
	return vars
}

// mysqlCommand returns the command by which the installed client connects with the files of a login.
func mysqlCommand(cmd *cobra.Command, a *account, e endpoint, service string) (string, error) {
	if e.user == "" { // the client would come under the name of the system's user
		return "", fault.New(fault.BadParameter, "the login of %[2]s names no account, which the command needs; store one with %[1]s db login --db-user=<user> %[2]s", a.tsh, service)
	}
	version, installed := oracleClient("mysql")
	if !installed {
		if e.endToEndOnly {
			return "", fault.New(fault.BadParameter, "this cluster takes end-to-end connections only, and mariadb cannot name the database in TLS; use %[1]s db connect %[2]s or %[1]s proxy db --tunnel %[2]s, or see %[1]s db config %[2]s for clients that can", a.tsh, service)
		}
		return a.mariadbCommand(cmd, e), nil
	}
	if !namesDatabases(version) {
		return "", fault.New(fault.BadParameter, "the client of MySQL on this machine cannot name the database in TLS, which takes mysql 8.1 of Oracle or newer; use %[1]s db connect %[2]s or %[1]s proxy db --tunnel %[2]s, or see %[1]s db config %[2]s for other clients", a.tsh, service)
	}
	if !e.leads(net.LookupHost) {
		return "", fault.New(fault.BadParameter, "mysql finds the proxy by the database's own name, and here %s does not lead to %s; add it to the name server or to /etc/hosts, or use %[3]s db connect %[4]s or %[3]s proxy db --tunnel %[4]s", e.host, e.hostAddr, a.tsh, service)
	}
	arguments := []string{"--host=" + e.host, "--port=" + e.port, "--protocol=TCP", "--ssl-mode=VERIFY_IDENTITY", "--tls-sni-servername=" + e.host,
		"--ssl-ca=" + e.ca, "--ssl-cert=" + e.cert, "--ssl-key=" + e.key}
	client := program{names: []string{"mysql"}}
	return client.quoted(append(arguments, e.mysqlAccount()...)), nil
}

// mariadbCommand is for MariaDB's client, which names no database in TLS: the proxy ends its TLS, with its web certificate,
// and finds the database by the client's. Only a client that verifies insists on TLS.
func (a *account) mariadbCommand(cmd *cobra.Command, e endpoint) string {
	arguments := []string{noSuffix, "--host=" + e.proxy, "--port=" + e.port, "--protocol=TCP", "--ssl-cert=" + e.cert, "--ssl-key=" + e.key}
	if a.insecure {
		if path, err := a.keepWebCertificate(cmd.Context(), e.proxy); err == nil {
			arguments = append(arguments, "--ssl-ca="+path, "--ssl-verify-server-cert")
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "WARNING: for tests only: this command verifies no certificate (%s), and whoever answers in place of the proxy without TLS is told everything in clear\n", fault.Reason(err))
		}
	} else {
		arguments = append(arguments, "--ssl-verify-server-cert")
	}
	client := program{names: []string{"mariadb", "mysql"}}
	return client.quoted(append(arguments, e.mysqlAccount()...))
}

// mysqlAccount returns the options for what the login says.
func (e *endpoint) mysqlAccount() (options []string) {
	if e.user != "" {
		options = append(options, "--user="+e.user)
	}
	if e.database != "" {
		options = append(options, "--database="+e.database)
	}
	return options
}
