package config

import (
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/resource"
)

// teleportSection is the section "teleport".
type teleportSection struct {
	// Nodename is the name of this host in listings. Default: the host's name.
	Nodename string `yaml:"nodename"`
	// DataDir is where everything is kept that must survive a restart. Default /var/lib/teleport.
	DataDir string `yaml:"data_dir"`
	// PIDFile is written at the start and removed at the end. Default: none.
	PIDFile string `yaml:"pid_file"`
	// AuthToken is the older place of join_params.token_name.
	AuthToken string `yaml:"auth_token"`
	// JoinParams say how the process joins the cluster.
	JoinParams joinSection `yaml:"join_params"`
	// CAPin, one or a list: sha256:<hex>, or the absolute path of a file with pins.
	CAPin textList `yaml:"ca_pin"`
	// AdvertiseIP is the host under which others reach the proxy when proxy_service.public_addr names none.
	AdvertiseIP string `yaml:"advertise_ip"`
	// DiagAddr is where /healthz, /readyz and /metrics are served, as in 127.0.0.1:3000. Default: nowhere.
	DiagAddr string `yaml:"diag_addr"`
	// AuthServer is the address of the auth service. Version v3. Default 127.0.0.1:3025.
	AuthServer string `yaml:"auth_server"`
	// ProxyServer is the address of the proxy. Version v3; instead of auth_server.
	ProxyServer string `yaml:"proxy_server"`
	// AuthServers are addresses of auth services or proxies. Versions v1 and v2. They are tried in this
	// order, then the proxies that the cluster knows.
	AuthServers textList `yaml:"auth_servers"`
	// ShutdownDelay is the time between the signal to stop and stopping. Default 0.
	ShutdownDelay duration `yaml:"shutdown_delay"`
	// ConnectionLimits bound what one client may take.
	ConnectionLimits struct {
		// MaxConnections of one client address, for each service. Default 15000.
		MaxConnections *int `yaml:"max_connections"`
		// CallsPerMinute of one client address that shows no certificate, at proxies and at the auth service: questions
		// such as /webapi/ping, and apart from these attempts to log in or join. Many people or hosts behind one address
		// count as one. Default 20.
		CallsPerMinute *int `yaml:"calls_per_minute"`
		// CallsBurst is how many of them may come at once. Default 40.
		CallsBurst *int     `yaml:"calls_burst"`
		MaxUsers   noEffect `yaml:"max_users"`
		Rates      noEffect `yaml:"rates"`
	} `yaml:"connection_limits"`
	// Log says what is logged and where.
	Log logSection `yaml:"log"`
	// Storage is where the auth service keeps its state.
	Storage storageSection `yaml:"storage"`

	RelayServer    noEffect `yaml:"relay_server"`
	Cache          noEffect `yaml:"cache"`
	AuthConnection noEffect `yaml:"auth_connection_config"`
	Ciphers        noEffect `yaml:"ciphers"`
	KexAlgos       noEffect `yaml:"kex_algos"`
	MACAlgos       noEffect `yaml:"mac_algos"`
	CASignature    noEffect `yaml:"ca_signature_algo"`
	CipherSuites   noEffect `yaml:"ciphersuites"`
}

// joinSection is teleport.join_params.
type joinSection struct {
	// Method of joining: token, iam or ec2. Default token. Older files spell the key join_method.
	Method string `yaml:"method"`
	// JoinMethod is the older name of method.
	JoinMethod string `yaml:"join_method"`
	// TokenName is the secret of the token, or the absolute path of a file that holds it; with other methods the
	// name of the token.
	TokenName string   `yaml:"token_name"`
	Azure     noEffect `yaml:"azure"`
}

// logSection is teleport.log.
type logSection struct {
	// Output: stderr, stdout, or the absolute path of a file. Default stderr.
	Output string `yaml:"output"`
	// Severity of what is logged at least: DEBUG, INFO, WARN or ERROR. Default INFO.
	Severity string `yaml:"severity"`
	// Format of what is logged.
	Format struct {
		// Output: text or json. Default text.
		Output      string   `yaml:"output"`
		ExtraFields noEffect `yaml:"extra_fields"`
	} `yaml:"format"`
}

// storageSection is teleport.storage.
type storageSection struct {
	// Type: sqlite. Older files call it dir.
	Type string `yaml:"type"`
	// Path of the directory. Default: backend in the data directory.
	Path string `yaml:"path"`
	// Sync: FULL, NORMAL or OFF. Default FULL.
	Sync string `yaml:"sync"`

	Journal           noEffect `yaml:"journal"`
	AuditEventsURI    noEffect `yaml:"audit_events_uri"`
	AuditSessionsURI  noEffect `yaml:"audit_sessions_uri"`
	PollStreamPeriod  noEffect `yaml:"poll_stream_period"`
	RetentionPeriod   noEffect `yaml:"retention_period"`
	BusyTimeout       noEffect `yaml:"busy_timeout"`
	AuditRetention    noEffect `yaml:"audit_retention_period"`
	AuditTableName    noEffect `yaml:"audit_table_name"`
	Region            noEffect `yaml:"region"`
	TableName         noEffect `yaml:"table_name"`
	ContinuousBackups noEffect `yaml:"continuous_backups"`
	AutoScaling       noEffect `yaml:"auto_scaling"`
	ReadMinCapacity   noEffect `yaml:"read_min_capacity"`
	ReadMaxCapacity   noEffect `yaml:"read_max_capacity"`
	ReadTargetValue   noEffect `yaml:"read_target_value"`
	WriteMinCapacity  noEffect `yaml:"write_min_capacity"`
	WriteMaxCapacity  noEffect `yaml:"write_max_capacity"`
	WriteTargetValue  noEffect `yaml:"write_target_value"`
	Peers             noEffect `yaml:"peers"`
	Prefix            noEffect `yaml:"prefix"`
	TLSCertFile       noEffect `yaml:"tls_cert_file"`
	TLSKeyFile        noEffect `yaml:"tls_key_file"`
	TLSCAFile         noEffect `yaml:"tls_ca_file"`
	Username          noEffect `yaml:"username"`
	PasswordFile      noEffect `yaml:"password_file"`
	Insecure          noEffect `yaml:"insecure"`
	ConnString        noEffect `yaml:"conn_string"`
	ChangeFeedConn    noEffect `yaml:"change_feed_conn_string"`
	ExpiryInterval    noEffect `yaml:"expiry_interval"`
	AuthMode          noEffect `yaml:"auth_mode"`
}

func (t *teleportSection) apply(p *problems, c *Config) {
	c.Nodename = t.Nodename
	c.PIDFile = t.PIDFile
	c.AdvertiseIP = t.AdvertiseIP
	c.ShutdownDelay = time.Duration(t.ShutdownDelay)
	if t.AdvertiseIP != "" && !validHost(t.AdvertiseIP) {
		p.add("teleport.advertise_ip", "%q is not a host name or an IP address", t.AdvertiseIP)
	}
	if t.DataDir != "" {
		c.DataDir = filepath.Clean(t.DataDir)
	}
	if t.DiagAddr != "" {
		c.DiagAddr = p.address("teleport.diag_addr", t.DiagAddr, "", true)
	}
	for _, limit := range []struct {
		key string
		set *int
		to  *int
	}{
		{"max_connections", t.ConnectionLimits.MaxConnections, &c.MaxConnections},
		{"calls_per_minute", t.ConnectionLimits.CallsPerMinute, &c.StrangerCalls.PerMinute},
		{"calls_burst", t.ConnectionLimits.CallsBurst, &c.StrangerCalls.Burst},
	} {
		if limit.set == nil {
			continue
		}
		*limit.to = *limit.set
		if *limit.set < 1 {
			p.add("teleport.connection_limits."+limit.key, "must be at least 1")
		}
	}
	for i, pin := range t.CAPin {
		if problem := checkPin(pin); problem != "" {
			p.add(t.CAPin.at(p, "teleport.ca_pin", i), "%s", problem)
		}
	}
	c.CAPins = t.CAPin
	t.applyJoin(p, c)
	t.Log.apply(p, c)
	t.Storage.apply(p, c)
}

func (t *teleportSection) applyJoin(p *problems, c *Config) {
	j := t.JoinParams
	method, at := j.Method, "teleport.join_params.method"
	if method == "" {
		method, at = j.JoinMethod, "teleport.join_params.join_method"
	} else if j.JoinMethod != "" && j.JoinMethod != method {
		p.add("teleport.join_params.join_method", "says %q while method says %q; keep one of the two", j.JoinMethod, method)
	}
	switch method {
	case "", resource.JoinToken:
	case resource.JoinIAM, resource.JoinEC2:
		c.JoinMethod = method
		if t.AuthToken != "" {
			p.add("teleport.auth_token", "is a secret for the join method token; write the token's name as join_params.token_name")
		} else if j.TokenName == "" {
			p.add(at, "needs join_params.token_name, the name of a token with this join method")
		}
	default:
		p.add(at, "%q is not available here; use %q, %q or %q", method, resource.JoinToken, resource.JoinIAM, resource.JoinEC2)
	}
	if t.AuthToken != "" && j.TokenName != "" {
		p.add("teleport.auth_token", "is the older form of join_params.token_name; keep one of the two")
	}
	c.Token = j.TokenName
	if c.Token == "" {
		c.Token = t.AuthToken
	}
}

// applyAddresses reads where the cluster is, which each version of the file writes in its own way.
func (t *teleportSection) applyAddresses(p *problems, c *Config, version string) {
	if version != "v3" {
		if t.AuthServer != "" {
			p.add("teleport.auth_server", "is for version v3; write auth_servers, or version: v3 at the top")
		}
		if t.ProxyServer != "" {
			p.add("teleport.proxy_server", "is for version v3; write auth_servers, or version: v3 at the top")
		}
		for i, address := range t.AuthServers {
			at := t.AuthServers.at(p, "teleport.auth_servers", i)
			address = p.server(at, address, defaultAuthPort)
			if i == 0 {
				c.AuthAddr, c.AuthAddrMayBeProxy = address, true
			} else {
				c.OtherAddrs = append(c.OtherAddrs, address)
			}
		}
		return
	}
	if len(t.AuthServers) > 0 {
		p.add("teleport.auth_servers", "is not part of version v3; write proxy_server with the address of a proxy, or auth_server with that of the auth service")
	}
	if t.AuthServer != "" && t.ProxyServer != "" {
		p.add("teleport.auth_server", "cannot be combined with proxy_server; keep proxy_server, unless this process reaches the auth service directly")
	}
	if t.AuthServer != "" {
		c.AuthAddr = p.server("teleport.auth_server", t.AuthServer, defaultAuthPort)
	}
	if t.ProxyServer != "" {
		c.ProxyAddr = p.server("teleport.proxy_server", t.ProxyServer, defaultProxyPort)
	}
}

func (l *logSection) apply(p *problems, c *Config) {
	switch {
	case l.Output == "":
	case l.Output == "stderr" || l.Output == "stdout" || filepath.IsAbs(l.Output):
		c.Log.Output = l.Output
	case l.Output == "syslog":
		p.warn("teleport.log.output", "syslog is not written directly; the log goes to stderr, which systemd keeps in its journal")
	default:
		p.add("teleport.log.output", "%q is not known; use stderr, stdout or the absolute path of a file", l.Output)
	}
	if l.Severity != "" {
		severity := strings.ToUpper(l.Severity)
		if severity == "WARNING" {
			severity = "WARN"
		}
		if p.oneOf("teleport.log.severity", severity, "DEBUG", "INFO", "WARN", "ERROR") {
			c.Log.Severity = severity
		}
	}
	if l.Format.Output != "" && p.oneOf("teleport.log.format.output", l.Format.Output, "text", "json") {
		c.Log.Format = l.Format.Output
	}
}

func (s *storageSection) apply(p *problems, c *Config) {
	if s.Type != "" && s.Type != "dir" && s.Type != "sqlite" {
		p.add("teleport.storage.type", "%q is not available here; use sqlite", s.Type)
	}
	if s.Path != "" {
		c.Storage.Path = filepath.Clean(s.Path)
	}
	if s.Sync != "" && p.oneOf("teleport.storage.sync", strings.ToUpper(s.Sync), "FULL", "NORMAL", "OFF") {
		c.Storage.Sync = strings.ToUpper(s.Sync)
	}
}
