package config

import (
	"net"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Flags are what the command line says; they are laid over the file. Zero values say nothing.
type Flags struct {
	Debug            bool
	Roles            []string // of auth, proxy and db; entries may hold several between commas
	AuthServers      []string // addresses of the auth service or of proxies, in the order in which they are tried
	Token            string
	CAPins           []string
	Nodename         string
	AdvertiseIP      string
	ListenIP         string // replaces the host of every listener but that of DiagAddr
	DiagAddr         string
	PIDFile          string
	Labels           string // of servers, which only other kinds of services have; see Database
	Insecure         bool
	SkipVersionCheck bool
	FIPS             bool
	Bootstrap        string // file with resources for a new cluster
	ApplyOnStartup   string // file with resources that are written at every start
	Database         *DatabaseFlags
}

// ApplyFlags lays the flags over the file and checks that the whole can run. It must be called once for
// every configuration, also without flags. The error has one line for each problem.
func (c *Config) ApplyFlags(f Flags) error {
	p := &problems{place: func(path string) string { return path }}
	c.applyPlain(p, f)
	c.applyServices(p, f)
	if f.Database != nil {
		c.applyDatabase(p, f.Database)
	} else if f.Labels != "" {
		p.warn("--labels", "has no effect in this program; labels of databases are written in the configuration file")
	}
	if c.AdvertiseIP != "" && !c.Proxy.Enabled {
		p.warn("--advertise-ip", "has an effect in a process with a proxy only: nobody connects to the other services by this address")
	}
	c.Auth.Bootstrap = append(c.Auth.Bootstrap, p.resources("--bootstrap", f.Bootstrap, c.Auth.Enabled)...)
	startup := p.resources("--apply-on-startup", f.ApplyOnStartup, c.Auth.Enabled)
	for _, r := range startup {
		if !slices.Contains(startupKinds(), r.GetKind()) {
			p.add("--apply-on-startup", "a %s cannot be written at every start; use %s", r.GetKind(), orList(startupKinds()))
		}
	}
	c.Auth.Startup = append(c.Auth.Startup, startup...)
	if len(p.list) == 0 { // what follows makes sense only for flags that were understood
		c.check(p)
	}
	c.Warnings = append(c.Warnings, inOrder(p.warnings)...)
	return p.err()
}

func startupKinds() []string {
	return []string{resource.KindToken, resource.KindRole, resource.KindUser, resource.KindAuthPreference, resource.KindNetworkingConfig}
}

func (c *Config) applyPlain(p *problems, f Flags) {
	set := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	set(&c.Nodename, f.Nodename)
	set(&c.AdvertiseIP, f.AdvertiseIP)
	set(&c.PIDFile, f.PIDFile)
	set(&c.Token, f.Token)
	if f.Debug {
		c.Log.Severity, c.Debug = "DEBUG", true
	}
	if f.DiagAddr != "" {
		c.DiagAddr = p.address("--diag-addr", f.DiagAddr, "", true)
	}
	if f.AdvertiseIP != "" && !validHost(f.AdvertiseIP) {
		p.add("--advertise-ip", "%q is not a host name or an IP address", f.AdvertiseIP)
	}
	if f.ListenIP != "" {
		if net.ParseIP(f.ListenIP) == nil {
			p.add("--listen-ip", "%q is not an IP address", f.ListenIP)
		}
		c.Auth.ListenAddr = withHost(c.Auth.ListenAddr, f.ListenIP)
		c.Proxy.ListenAddr = withHost(c.Proxy.ListenAddr, f.ListenIP)
	}
	for _, pin := range f.CAPins {
		if problem := checkPin(pin); problem != "" {
			p.add("--ca-pin", "%s", problem)
		}
	}
	if len(f.CAPins) > 0 {
		c.CAPins = f.CAPins
	}
	c.Insecure = c.Insecure || f.Insecure
	c.FIPS = f.FIPS
	if c.FIPS && c.Insecure {
		p.add("--fips", "cannot be combined with --insecure, which does not verify whom it talks to; give the proxy a certificate that this host trusts, or set ca_pin")
	}
	if f.SkipVersionCheck {
		p.warn("--skip-version-check", "has no effect: versions are not compared in any case")
	}
}

func withHost(address, host string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(host, port)
}

// applyServices decides which services run and where the cluster is.
func (c *Config) applyServices(p *problems, f Flags) {
	var roles []string
	for _, entry := range f.Roles {
		for role := range strings.SplitSeq(entry, ",") {
			if role = strings.ToLower(strings.TrimSpace(role)); role != "" {
				roles = append(roles, role)
			}
		}
	}
	for _, role := range roles {
		switch role {
		case "auth", "proxy", "db":
		case "node", "app", "kube", "windowsdesktop":
			p.add("--roles", "this program serves databases only and has no role %s; use auth, proxy and db", role)
		default:
			p.add("--roles", "%q is not known; use auth, proxy and db", role)
		}
	}
	if len(f.AuthServers) > 0 {
		c.AuthAddr, c.ProxyAddr = p.server("--auth-server", f.AuthServers[0], defaultAuthPort), ""
		c.AuthAddrMayBeProxy = true
		c.Auth.Enabled = false
		if slices.Contains(roles, "auth") {
			p.add("--auth-server", "cannot be combined with the role auth; a process either is the auth service or uses another one")
		}
		c.OtherAddrs = nil
		for _, address := range f.AuthServers[1:] {
			c.OtherAddrs = append(c.OtherAddrs, p.server("--auth-server", address, defaultAuthPort))
		}
	}
	if len(roles) > 0 {
		c.Auth.Enabled = slices.Contains(roles, "auth")
		c.Proxy.Enabled = slices.Contains(roles, "proxy")
		c.Databases.Enabled = slices.Contains(roles, "db")
	}
}

func (c *Config) applyDatabase(p *problems, f *DatabaseFlags) {
	if !f.Given() {
		return
	}
	note, err := f.Complete(SystemEnv())
	if err != nil {
		p.add("", "%s", fault.Message(err))
		return
	}
	if note != "" {
		p.warn("", "%s", note)
	}
	db, err := f.database(SystemEnv())
	if err != nil {
		p.add("", "%s", fault.Message(err))
		return
	}
	c.Databases.Static = slices.DeleteFunc(c.Databases.Static, func(other *resource.Database) bool {
		return other.GetName() == db.GetName()
	})
	c.Databases.Static = append(c.Databases.Static, db)
}

// resources reads a file of resources that a flag names.
func (p *problems) resources(flag, path string, authEnabled bool) []resource.Resource {
	if path == "" {
		return nil
	}
	if !authEnabled {
		p.add(flag, "is for the process that runs the auth service")
		return nil
	}
	data, err := SystemEnv().ReadFile(path)
	if err != nil {
		p.add(flag, "the file %s cannot be read: %s", path, fault.Reason(err))
		return nil
	}
	list, err := resource.ParseYAML(data)
	if err != nil {
		p.add(flag, "%s: %s", path, fault.Message(err))
	}
	return list
}

// check refuses what cannot run, and settles where the cluster is.
func (c *Config) check(p *problems) {
	if c.DiagAddr != "" && !loopback(c.DiagAddr) {
		p.warn("teleport.diag_addr", "lets whoever reaches %s read metrics, and with --debug the program's memory and command line; use 127.0.0.1, or keep others out", c.DiagAddr)
	}
	if !c.Auth.Enabled && !c.Proxy.Enabled && !c.Databases.Enabled && !c.Discovery.Enabled {
		p.add("", "there is nothing to run: enable auth_service, proxy_service, db_service or discovery_service in the configuration file, or give --roles")
		return
	}
	if c.Auth.Enabled {
		if other := c.ProxyAddr + c.AuthAddr; other != "" && !loopback(other) {
			p.warn("", "the address %s is not used, because the auth service runs in this process; write enabled: no under auth_service to join another cluster", other)
		}
		c.ProxyAddr, c.AuthAddr, c.OtherAddrs, c.AuthAddrMayBeProxy = "", "", nil, false
		return
	}
	if c.ProxyAddr == "" && c.AuthAddr == "" {
		if !c.Proxy.Enabled {
			p.add("", "the address of the cluster is missing: set teleport.proxy_server in the configuration file, or give --auth-server=host:port")
			return
		}
		c.AuthAddr = "127.0.0.1:" + defaultAuthPort
	}
	if c.Databases.Enabled && !c.Proxy.Enabled && c.AuthAddr != "" && !c.AuthAddrMayBeProxy {
		p.add("", "a Database Service is reached through a proxy: set teleport.proxy_server to the proxy's address instead of auth_server")
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
