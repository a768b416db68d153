package config

import (
	"net"
	"net/netip"
	"time"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
)

// proxySection is the section "proxy_service". Everything is served at one address, but for clients of MySQL that do TLS
// themselves.
type proxySection struct {
	// Enabled: default yes.
	Enabled *resource.Bool `yaml:"enabled"`
	// WebListenAddr: default 0.0.0.0:3080.
	WebListenAddr string `yaml:"web_listen_addr"`
	// PublicAddr, one or a list: names under which users reach the proxy; the first one is used in links.
	PublicAddr textList `yaml:"public_addr"`
	// HTTPSKeyPairs are the certificates of the web address. Default: a self-signed one.
	HTTPSKeyPairs []keyPair `yaml:"https_keypairs"`
	// HTTPSKeyFile and HTTPSCertFile are the older form for a single certificate.
	HTTPSKeyFile string `yaml:"https_key_file"`
	// HTTPSCertFile: see https_key_file.
	HTTPSCertFile string `yaml:"https_cert_file"`
	// HTTPSKeyPairsReload is how often the certificates' files are looked at for changes. Default 1m; 0 or
	// never: only when the process is told to by SIGHUP.
	HTTPSKeyPairsReload *duration `yaml:"https_keypairs_reload_interval"`
	// EndToEndOnly turns away clients that cannot name their database in the ClientHello, for whom the proxy
	// would have to end TLS. Default no.
	EndToEndOnly resource.Bool `yaml:"end_to_end_only"`
	// TrustForwardedFor, one or a list: addresses or networks of the balancers whose header X-Forwarded-For tells
	// the proxy where a request is from; "yes" for whoever connects. Default no. A header with several addresses
	// is refused: have the balancer replace what its clients send.
	TrustForwardedFor textList `yaml:"trust_x_forwarded_for"`
	// ProxyProtocol: on or off. When on, connections of the balancers in TrustProxyProtocol must begin with a header of
	// the PROXY protocol, version 1 or 2, which tells where the client is. Otherwise, and from others, none is accepted.
	// Default off.
	ProxyProtocol string `yaml:"proxy_protocol"`
	// TrustProxyProtocol, one or a list: addresses or networks of those balancers.
	TrustProxyProtocol textList `yaml:"trust_proxy_protocol"`
	// MySQLListenAddr is where clients of MySQL connect that do TLS themselves: end to end those that name the
	// database's host in it; for the others the proxy ends TLS. Default none: they use a local proxy.
	MySQLListenAddr string `yaml:"mysql_listen_addr"`
	// MySQLPublicAddr is the name under which such clients reach it. Default: the host of public_addr.
	MySQLPublicAddr string `yaml:"mysql_public_addr"`
	// MySQLServerVersion is what they are told that the server's version is, before it is known which database they
	// want. Default 8.0.0-Sallyport.
	MySQLServerVersion string `yaml:"mysql_server_version"`
	// ACME would fetch certificates; it can be off only.
	ACME struct {
		Enabled resource.Bool `yaml:"enabled"`
		Email   string        `yaml:"email"`
		URI     string        `yaml:"uri"`
	} `yaml:"acme"`

	ListenAddr           noEffect `yaml:"listen_addr"`
	TunnelListenAddr     noEffect `yaml:"tunnel_listen_addr"`
	KubeListenAddr       noEffect `yaml:"kube_listen_addr"`
	PeerListenAddr       noEffect `yaml:"peer_listen_addr"`
	PeerPublicAddr       noEffect `yaml:"peer_public_addr"`
	SSHPublicAddr        noEffect `yaml:"ssh_public_addr"`
	TunnelPublicAddr     noEffect `yaml:"tunnel_public_addr"`
	KubePublicAddr       noEffect `yaml:"kube_public_addr"`
	PostgresListenAddr   noEffect `yaml:"postgres_listen_addr"`
	MongoListenAddr      noEffect `yaml:"mongo_listen_addr"`
	PostgresPublicAddr   noEffect `yaml:"postgres_public_addr"`
	MongoPublicAddr      noEffect `yaml:"mongo_public_addr"`
	UI                   noEffect `yaml:"ui"`
	UpgradesChannels     noEffect `yaml:"automatic_upgrades_channels"`
	IDP                  noEffect `yaml:"idp"`
	Kubernetes           noEffect `yaml:"kubernetes"`
	Assist               noEffect `yaml:"assist"`
	ProxyGroupID         noEffect `yaml:"proxy_group_id"`
	ProxyGroupGeneration noEffect `yaml:"proxy_group_generation"`
}

type keyPair struct {
	KeyFile  string `yaml:"key_file"`
	CertFile string `yaml:"cert_file"`
}

func (s *proxySection) apply(p *problems, c *Config) {
	const at = "proxy_service."
	c.Proxy.Enabled = s.Enabled.Enabled(true)
	c.Proxy.EndToEndOnly = bool(s.EndToEndOnly)
	if s.WebListenAddr != "" {
		c.Proxy.ListenAddr = p.address(at+"web_listen_addr", s.WebListenAddr, defaultProxyPort, true)
	}
	_, port, err := net.SplitHostPort(c.Proxy.ListenAddr)
	if err != nil || port == "0" {
		port = defaultProxyPort
	}
	for i, address := range s.PublicAddr {
		c.Proxy.PublicAddrs = append(c.Proxy.PublicAddrs, p.address(s.PublicAddr.at(p, at+"public_addr", i), address, port, false))
	}
	for i, pair := range s.HTTPSKeyPairs {
		path := indexPath(at+"https_keypairs", i)
		if pair.KeyFile == "" {
			p.add(path+".key_file", "is missing")
		}
		if pair.CertFile == "" {
			p.add(path+".cert_file", "is missing")
		}
		c.Proxy.KeyPairs = append(c.Proxy.KeyPairs, KeyPair(pair))
	}
	s.applyOldKeyPair(p, c)
	s.applyMySQL(p, c)
	s.applyBalancers(p, c)
	s.applyProxyProtocol(p, c)
	if s.HTTPSKeyPairsReload != nil {
		c.Proxy.KeyPairsReload = time.Duration(*s.HTTPSKeyPairsReload)
	}
	if s.ACME.Enabled {
		p.warn(at+"acme.enabled", "certificates are not fetched from an ACME authority; name the files of one in https_keypairs, or the proxy makes a self-signed one")
	}
}

func (s *proxySection) applyBalancers(p *problems, c *Config) {
	const path = "proxy_service.trust_x_forwarded_for"
	for i, text := range s.TrustForwardedFor {
		at := s.TrustForwardedFor.at(p, path, i)
		var all resource.Bool
		if len(s.TrustForwardedFor) == 1 && all.UnmarshalJSON([]byte(text)) == nil {
			if all {
				c.Proxy.Balancers = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
				p.warn(at, "whoever reaches the proxy without the balancer can say to come from anywhere; name the balancer's addresses or networks instead of yes")
			}
			return
		}
		network, err := parseNetwork(text)
		if err != nil {
			p.add(at, "%q is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24; yes and no are possible too", text)
			continue
		}
		c.Proxy.Balancers = append(c.Proxy.Balancers, network)
	}
}

// parseNetwork reads a network, or an address, which is a network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func (s *proxySection) applyProxyProtocol(p *problems, c *Config) {
	const path, named = "proxy_service.proxy_protocol", "proxy_service.trust_proxy_protocol"
	var on resource.Bool
	if s.ProxyProtocol != "" && s.ProxyProtocol != "unspecified" && on.UnmarshalJSON([]byte(s.ProxyProtocol)) != nil {
		p.add(path, "%q is not known; use on or off", s.ProxyProtocol)
		return
	}
	var networks []netip.Prefix
	for i, text := range s.TrustProxyProtocol {
		network, err := parseNetwork(text)
		if err != nil {
			p.add(s.TrustProxyProtocol.at(p, named, i), "%q is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24", text)
			return
		}
		if network.Bits() == 0 {
			p.warn(s.TrustProxyProtocol.at(p, named, i), "whoever reaches the proxy without the balancer can say to come from anywhere; name the balancer's addresses or networks")
		}
		networks = append(networks, network)
	}
	switch {
	case bool(on) && len(networks) == 0:
		p.add(path, "needs trust_proxy_protocol beside it, with the addresses or networks of the balancers that say where clients are")
	case bool(on):
		c.Proxy.HeadersFrom = networks
	case len(networks) > 0:
		p.warn(named, "this key has no effect without proxy_protocol: on")
	}
}

func (s *proxySection) applyMySQL(p *problems, c *Config) {
	const at = "proxy_service."
	if s.MySQLListenAddr == "" {
		for _, key := range [][2]string{{"mysql_public_addr", s.MySQLPublicAddr}, {"mysql_server_version", s.MySQLServerVersion}} {
			if key[1] != "" {
				p.warn(at+key[0], "this key has no effect without mysql_listen_addr")
			}
		}
		return
	}
	c.Proxy.MySQL.ListenAddr = p.address(at+"mysql_listen_addr", s.MySQLListenAddr, defaultMySQLPort, true)
	if s.MySQLPublicAddr != "" {
		_, port, err := net.SplitHostPort(c.Proxy.MySQL.ListenAddr)
		if err != nil || port == "0" {
			port = defaultMySQLPort
		}
		c.Proxy.MySQL.PublicAddr = p.address(at+"mysql_public_addr", s.MySQLPublicAddr, port, false)
	}
	if c.Proxy.MySQL.Version = s.MySQLServerVersion; c.Proxy.MySQL.Version != "" && !mysqlwire.IsVersion(c.Proxy.MySQL.Version) {
		p.add(at+"mysql_server_version", "%q is not a version of a server, as in 8.0.36 or 10.11.6-MariaDB, of at most 64 characters", c.Proxy.MySQL.Version)
	}
}

func (s *proxySection) applyOldKeyPair(p *problems, c *Config) {
	switch {
	case s.HTTPSKeyFile == "" && s.HTTPSCertFile == "":
	case s.HTTPSKeyFile == "":
		p.add("proxy_service.https_cert_file", "needs https_key_file beside it")
	case s.HTTPSCertFile == "":
		p.add("proxy_service.https_key_file", "needs https_cert_file beside it")
	default:
		c.Proxy.KeyPairs = append(c.Proxy.KeyPairs, KeyPair{KeyFile: s.HTTPSKeyFile, CertFile: s.HTTPSCertFile})
	}
}
