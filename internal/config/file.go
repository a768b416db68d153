package config

import (
	"sallyport/internal/resource"
	"sallyport/internal/yamlnode"
)

// fileConfig is the whole file. Every section may be left out.
type fileConfig struct {
	// Version of the format: v1, v2 or v3. It decides how addresses of the cluster are written.
	// Default v1; new files use v3.
	Version string `yaml:"version"`
	// Teleport holds what all services of the process share.
	Teleport teleportSection `yaml:"teleport"`
	// AuthService is the authority of the cluster. On by default.
	AuthService authSection `yaml:"auth_service"`
	// ProxyService is what users and agents outside connect to. On by default.
	ProxyService proxySection `yaml:"proxy_service"`
	// DBService serves databases. Off by default.
	DBService dbSection `yaml:"db_service"`
	// DiscoveryService looks for databases in clouds. Off by default.
	DiscoveryService discoverySection `yaml:"discovery_service"`

	// Services that this program does not have. Their sections may be there, switched off.
	SSHService            absentService `yaml:"ssh_service"`
	AppService            absentService `yaml:"app_service"`
	KubernetesService     absentService `yaml:"kubernetes_service"`
	WindowsDesktopService absentService `yaml:"windows_desktop_service"`
	MetricsService        absentService `yaml:"metrics_service"`
	TracingService        absentService `yaml:"tracing_service"`
	OktaService           absentService `yaml:"okta_service"`
	JamfService           absentService `yaml:"jamf_service"`
	DebugService          absentService `yaml:"debug_service"`
	RelayService          absentService `yaml:"relay_service"`
	Plugins               noEffect      `yaml:"plugins"`
}

// absentService is the section of a service that this program does not have.
type absentService struct{}

func (*absentService) fromNode(p *problems, n *yamlnode.Node, path string) {
	if n.Shape == yamlnode.Null {
		return
	}
	if n.Shape != yamlnode.Map {
		p.add(path, "must be a map, not %s", n.Shape)
		return
	}
	enabled := n.Get("enabled")
	if enabled == nil {
		return
	}
	var on resource.Bool
	if err := on.UnmarshalJSON(enabled.JSON()); err != nil {
		p.add(path+".enabled", "%s", err)
		return
	}
	if on {
		p.add(path+".enabled", "%s; write enabled: no", absentReason(path))
	}
}

func absentReason(section string) string {
	switch section {
	case "metrics_service":
		return "metrics are served at teleport.diag_addr here"
	case "debug_service":
		return "the log level is set by teleport.log.severity here"
	default:
		return "this program serves databases only and has no " + section
	}
}

// config checks what the file says and makes of it what the daemon runs with.
func (f *fileConfig) config(p *problems, env Env) *Config {
	c := defaults()
	if f.Version == "" {
		f.Version = "v1"
	}
	if !p.oneOf("version", f.Version, "v1", "v2", "v3") {
		f.Version = "v3"
	}
	f.Teleport.apply(p, c)
	f.Teleport.applyAddresses(p, c, f.Version)
	f.AuthService.apply(p, c, env)
	f.ProxyService.apply(p, c)
	f.DBService.apply(p, c, env)
	f.DiscoveryService.apply(p, c)
	c.fillHost(env)
	c.checkListeners(p)
	return c
}
