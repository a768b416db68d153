package config

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// File is what `teleport configure` was asked for. Zero values say nothing.
type File struct {
	Nodename    string
	Version     string // v1, v2 or v3; default v3
	DataDir     string // default DefaultDataDir
	ClusterName string
	PublicAddr  string // of the proxy
	CertFile    string // of the proxy; with KeyFile
	KeyFile     string
	ACME        bool
	ACMEEmail   string
	Token       string
	Roles       []string // of auth, proxy and db; default auth and proxy
	AuthServer  string
	Proxy       string // address of the proxy to join through
}

// Generate returns a starting file. What it returns can be read by Parse, if the certificate files exist.
func Generate(f File) ([]byte, error) {
	p := &problems{place: func(path string) string { return path }}
	f.complete(p)
	if err := p.err(); err != nil {
		return nil, err
	}
	y := &yamlText{}
	y.comment(0, "Check the file after changes with: teleport configure --test FILE")
	y.line(0, "version: %s", f.Version)
	y.line(0, "teleport:")
	y.pair(1, "nodename", f.Nodename)
	y.comment(1, "Everything that must survive a restart. Back it up.")
	y.pair(1, "data_dir", f.DataDir)
	y.comment(1, "For /healthz, /readyz and /metrics over plain HTTP:")
	y.comment(1, `diag_addr: "127.0.0.1:3000"`)
	y.addresses(f)
	y.join(f.Token)
	y.comment(1, "Of another cluster that this process joins, as tctl status prints them there.")
	y.line(1, "ca_pin: []")
	y.line(1, "log:")
	y.pair(2, "output", "stderr")
	y.pair(2, "severity", "INFO")
	y.line(2, "format:")
	y.pair(3, "output", "text")
	y.authService(f)
	y.line(0, "ssh_service:")
	y.line(1, `enabled: "no"`)
	y.proxyService(f)
	if f.runs("db") {
		y.line(0, "db_service:")
		y.line(1, `enabled: "yes"`)
		y.comment(1, selectorsExample)
		y.comment(1, databasesExample)
	}
	return []byte(y.b.String()), nil
}

func (f *File) runs(role string) bool { return slices.Contains(f.Roles, role) }

// complete fills in defaults and notes what cannot be combined.
func (f *File) complete(p *problems) {
	if f.Version == "" {
		f.Version = "v3"
	}
	p.oneOf("--version", f.Version, "v1", "v2", "v3")
	if f.DataDir == "" {
		f.DataDir = DefaultDataDir
	}
	if f.ClusterName != "" && !resource.ValidClusterName(f.ClusterName) {
		p.add("--cluster-name", "%q must consist of lower-case letters, digits and hyphens between dots, as in teleport.example.com, and have at most 190 bytes", f.ClusterName)
	}
	if f.Roles = splitList(f.Roles); len(f.Roles) == 0 {
		f.Roles = []string{"proxy", "auth"}
		if f.AuthServer != "" || f.Proxy != "" {
			f.Roles = []string{"db"}
		}
	}
	for _, role := range f.Roles {
		if !slices.Contains([]string{"auth", "proxy", "db"}, role) {
			p.add("--roles", "%q is not a role of this program; use auth, proxy and db", role)
		}
	}
	f.completeAddresses(p)
	f.completeWeb(p)
}

func (f *File) completeAddresses(p *problems) {
	if f.AuthServer != "" {
		f.AuthServer = p.server("--auth-server", f.AuthServer, defaultAuthPort)
	}
	if f.Proxy != "" {
		f.Proxy = p.server("--proxy", f.Proxy, defaultProxyPort)
	}
	switch {
	case f.AuthServer != "" && f.Proxy != "":
		p.add("--auth-server", "cannot be combined with --proxy; keep the one through which this process joins")
	case f.runs("auth") && f.AuthServer+f.Proxy != "":
		p.add("--roles", "a process that is the auth service does not join another one; leave out auth, or the address")
	case !f.runs("auth") && f.AuthServer+f.Proxy == "":
		p.add("--proxy", "is missing; without the role auth, name the cluster with --proxy=host:port or --auth-server=host:port")
	case f.runs("db") && !f.runs("proxy") && f.AuthServer != "" && f.Version == "v3":
		p.add("--auth-server", "a Database Service is reached through a proxy; write --proxy=host:port")
	}
}

func (f *File) completeWeb(p *problems) {
	if f.PublicAddr != "" {
		port := defaultProxyPort
		if f.ACME {
			port = "443"
		}
		f.PublicAddr = p.address("--public-addr", f.PublicAddr, port, false)
	}
	if (f.CertFile == "") != (f.KeyFile == "") {
		p.add("--cert-file", "and --key-file belong together; give both")
	}
	f.CertFile = p.readable("--cert-file", f.CertFile)
	f.KeyFile = p.readable("--key-file", f.KeyFile)
	if f.ACMEEmail != "" && !strings.Contains(f.ACMEEmail, "@") {
		p.add("--acme-email", "%q is not an e-mail address", f.ACMEEmail)
	}
	if f.ACME && f.ClusterName == "" && f.PublicAddr == "" {
		p.add("--acme", "needs --cluster-name or --public-addr: the name that the certificate is for")
	}
}

// readable returns the absolute path of a file, which must be there.
func (p *problems) readable(flag, path string) string {
	if path == "" {
		return ""
	}
	full, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(full)
	}
	if err != nil {
		p.add(flag, "the file %s cannot be read: %s", path, fault.Reason(err))
	}
	return full
}

func (y *yamlText) addresses(f File) {
	switch {
	case f.AuthServer+f.Proxy == "":
	case f.Version != "v3":
		y.list(1, "auth_servers", []string{f.AuthServer + f.Proxy})
	default:
		y.pair(1, "auth_server", f.AuthServer)
		y.pair(1, "proxy_server", f.Proxy)
	}
}

func (y *yamlText) authService(f File) {
	y.line(0, "auth_service:")
	if !f.runs("auth") {
		y.line(1, `enabled: "no"`)
		return
	}
	y.line(1, `enabled: "yes"`)
	y.pair(1, "listen_addr", "0.0.0.0:"+defaultAuthPort)
	if f.ClusterName == "" {
		y.comment(1, `The cluster is named after this host; the name cannot be changed after the first start: cluster_name: "teleport.example.com"`)
	}
	y.pair(1, "cluster_name", f.ClusterName)
	y.comment(1, "One port of the proxy serves everything.")
	y.line(1, "proxy_listener_mode: multiplex")
}

func (y *yamlText) proxyService(f File) {
	y.line(0, "proxy_service:")
	if !f.runs("proxy") {
		y.line(1, `enabled: "no"`)
		return
	}
	y.line(1, `enabled: "yes"`)
	port := defaultProxyPort
	if f.ACME && f.PublicAddr == "" {
		f.PublicAddr = f.ClusterName + ":443"
	}
	if f.PublicAddr != "" {
		_, port, _ = net.SplitHostPort(f.PublicAddr) // checked by completeWeb
		y.comment(1, "The port of public_addr; another one if something before this host passes connections on.")
	}
	y.pair(1, "web_listen_addr", "0.0.0.0:"+port)
	y.pair(1, "public_addr", f.PublicAddr)
	if f.CertFile != "" {
		y.line(1, "https_keypairs:")
		y.pair(1, "- key_file", f.KeyFile)
		y.pair(2, "cert_file", f.CertFile)
	} else {
		y.comment(1, "Without a certificate of its own the proxy makes a self-signed one.")
		y.line(1, "https_keypairs: []")
	}
	y.pair(1, "https_keypairs_reload_interval", "1m")
	if f.ACME {
		y.line(1, "acme:")
		y.line(2, `enabled: "yes"`)
		y.pair(2, "email", f.ACMEEmail)
	} else {
		y.line(1, "acme: {}")
	}
}
