package config

import (
	"net"
	"strings"
)

// checkListeners refuses an address at which two parts of this process would listen.
func (c *Config) checkListeners(p *problems) {
	type listener struct{ path, address string }
	var all []listener
	add := func(on bool, path, address string) {
		if !on || address == "" {
			return
		}
		for _, other := range all {
			if sameSocket(address, other.address) {
				p.add(path, "%s is where %s listens too (%s); give one of them another port", address, other.path, other.address)
				return
			}
		}
		all = append(all, listener{path, address})
	}
	add(c.Auth.Enabled, "auth_service.listen_addr", c.Auth.ListenAddr)
	add(c.Proxy.Enabled, "proxy_service.web_listen_addr", c.Proxy.ListenAddr)
	add(c.Proxy.Enabled, "proxy_service.mysql_listen_addr", c.Proxy.MySQL.ListenAddr)
	add(true, "teleport.diag_addr", c.DiagAddr)
}

// sameSocket reports whether one of two listeners would find its address in use. Port 0 is another one each time.
func sameSocket(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB)
}

// everywhere reports hosts that stand for all addresses of the machine.
func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
