package resource

// Proxy is the heartbeat of a proxy, written by the proxy itself. Its name is the host id.
type Proxy struct {
	Header
	Spec ProxySpec `json:"spec"`
}

// ProxySpec says where the proxy is.
type ProxySpec struct {
	PublicAddr string `json:"public_addr"` // host:port
	Hostname   string `json:"hostname,omitempty"`
	Version    string `json:"version,omitempty"` // of the program
}

// Validate implements Resource.
func (s *Proxy) Validate() error { return validate(s) }

func (s *Proxy) check(p *problems) {
	checkName(p, "metadata.name", s.Metadata.Name)
	if s.Spec.PublicAddr == "" {
		p.add("spec.public_addr", "is missing")
	}
}
