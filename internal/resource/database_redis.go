package resource

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"sallyport/internal/aws/endpoint"
)

// RedisURI is what the URI of a database of Redis says.
type RedisURI struct {
	Address string // host:port
	Cluster bool   // it is one node of a cluster
	Mode    bool   // the URI says which of the two it is
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
	r.Mode = query.Has("mode")
	switch mode := query.Get("mode"); {
	case mode == "cluster":
		r.Cluster = true
	case mode != "standalone" && r.Mode:
		return r, fmt.Errorf("incorrect connection mode %q, supported are: standalone and cluster", mode)
	}
	return r, nil
}

// RedisPlace returns what the URI of a database of Redis says. Where that leaves it open, endpoints of AWS say by their
// form whether they lead to a cluster.
func (d *Database) RedisPlace() (RedisURI, error) {
	place, err := ParseRedisURI(d.Spec.URI)
	if err != nil || !d.InAWS() {
		return place, err
	}
	e, err := d.AWSEndpoint()
	if err != nil {
		return place, err
	}
	place.Address = e.Address()
	if !place.Mode {
		place.Cluster = e.Kind == endpoint.KindConfiguration || e.Type == endpoint.MemoryDB && e.Kind == endpoint.KindCluster
	}
	return place, nil
}
