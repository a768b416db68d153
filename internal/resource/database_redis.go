package resource

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// RedisURI is what the URI of a database of Redis says.
type RedisURI struct {
	Address string // host:port
	Cluster bool   // it is one node of a cluster
}

const redisPort = "6379"

// ParseRedisURI reads host:port, redis://host[:port] or rediss://host[:port], the latter two with ?mode=standalone or
// ?mode=cluster. They mean the same: there is always TLS.
func ParseRedisURI(uri string) (RedisURI, error) {
	if !strings.Contains(uri, "://") {
		return RedisURI{Address: uri}, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return RedisURI{}, fmt.Errorf("%q is not a URI", uri)
	}
	r := RedisURI{Address: u.Host}
	if u.Port() == "" {
		r.Address = net.JoinHostPort(u.Hostname(), redisPort)
	}
	query := u.Query()
	switch mode := query.Get("mode"); {
	case mode == "cluster":
		r.Cluster = true
	case mode != "standalone" && query.Has("mode"):
		return r, fmt.Errorf("incorrect connection mode %q, supported are: standalone and cluster", mode)
	}
	return r, nil
}
