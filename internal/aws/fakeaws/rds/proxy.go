package rds

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Proxy is an RDS Proxy with its endpoints. Only Place and Name must be set.
type Proxy struct {
	inventory.Place
	Name         string            `json:"name"`
	EngineFamily string            `json:"engine_family"` // POSTGRESQL (default), MYSQL or SQLSERVER
	Status       string            `json:"status"`        // default available
	Host         string            `json:"host"`          // default one shaped like AWS's
	ResourceID   string            `json:"resource_id"`   // default prx-…
	NoTLS        bool              `json:"no_tls"`        // TLS is not required
	IAMOff       bool              `json:"iam_off"`       // its secrets do not ask for IAM authentication
	VPC          string            `json:"vpc"`
	Endpoints    []*ProxyEndpoint  `json:"endpoints"` // besides the default one
	Auth         []ProxyAuth       `json:"auth"`      // its secrets; default one that is not there
	Role         string            `json:"role"`      // ARN of the one that reads them
	Tags         map[string]string `json:"tags"`
	Created      time.Time         `json:"created"`

	world *fakeaws.World
}

// ProxyEndpoint is a custom endpoint of a proxy.
type ProxyEndpoint struct {
	Name   string `json:"name"`
	Host   string `json:"host"`   // default one shaped like AWS's
	Status string `json:"status"` // default available
	Role   string `json:"role"`   // READ_WRITE (default) or READ_ONLY
	VPC    string `json:"vpc"`    // default the proxy's
}

// ARN is the proxy's.
func (p *Proxy) ARN() string { return p.Place.ARN("rds", "db-proxy:"+p.ResourceID) }

// Port depends on what is spoken.
func (p *Proxy) Port() int {
	return map[string]int{"POSTGRESQL": 5432, "MYSQL": 3306, "SQLSERVER": 1433}[p.EngineFamily]
}

// Addrs are what tokens may be signed for: the default endpoint and the others.
func (p *Proxy) Addrs() []string {
	all := []string{net.JoinHostPort(p.Host, strconv.Itoa(p.Port()))}
	for _, e := range p.Endpoints {
		all = append(all, net.JoinHostPort(e.Host, strconv.Itoa(p.Port())))
	}
	return all
}

// CertificateName is for what RDS Proxy has its certificates: one label only, which leaves custom endpoints out.
func (p *Proxy) CertificateName() string {
	_, rest, _ := strings.Cut(p.Host, ".")
	return "*." + rest
}

func (p *Proxy) place() inventory.Place { return p.Place }

func (p *Proxy) complete(r *RDS) error {
	if p.Name == "" {
		return fmt.Errorf("a proxy has no name")
	}
	p.EngineFamily = cmp.Or(p.EngineFamily, "POSTGRESQL")
	if p.Port() == 0 {
		return fmt.Errorf("proxy %s: no engine family %q", p.Name, p.EngineFamily)
	}
	p.world = r.world
	p.Status = cmp.Or(p.Status, "available")
	p.Host = cmp.Or(p.Host, hostName(p.Place, p.Name, "proxy-", ""))
	p.ResourceID = cmp.Or(p.ResourceID, "prx-"+strings.ToLower(p.Opaque(17, "proxy", p.Name)))
	p.VPC = cmp.Or(p.VPC, vpcOf(p.Place))
	if p.Created.IsZero() {
		p.Created = r.world.Now()
	}
	for _, e := range p.Endpoints {
		if e.Name == "" {
			return fmt.Errorf("proxy %s: an endpoint has no name", p.Name)
		}
		e.Host = cmp.Or(e.Host, hostName(p.Place, e.Name, "endpoint.proxy-", ""))
		e.Status = cmp.Or(e.Status, "available")
		e.Role = cmp.Or(e.Role, "READ_WRITE")
		e.VPC = cmp.Or(e.VPC, p.VPC)
	}
	return nil
}

func (p *Proxy) targets(account *fakeaws.Account) []fakeaws.Target {
	var all []fakeaws.Target
	for _, addr := range p.Addrs() {
		all = append(all, fakeaws.Target{Service: fakeaws.RDSConnect, Host: addr, Account: account, Region: p.Region, ResourceID: p.ResourceID, IAMOff: p.IAMOff,
			Secret: func(user string) (fakeaws.Secret, bool) { return p.secret(p.world, user) }})
	}
	return all
}

func (p *Proxy) put(r *RDS, _ []*fakeaws.Target) { r.proxies.Put(p.Place, p.Name, p) }

func (p *Proxy) remove(r *RDS) { r.proxies.Remove(p.Place, p.Name) }

// proxyARN needs the resource's id, not its name; of one that is not there AWS tells a star.
func (r *RDS) proxyARN(c *fakeaws.Call) ([]string, error) {
	if p := r.proxies.Get(inventory.At(c), c.Params.String("DBProxyName")); p != nil {
		return []string{p.ARN()}, nil
	}
	return []string{c.ARN("rds", "db-proxy:*")}, nil
}

func (r *RDS) endpointARN(c *fakeaws.Call) ([]string, error) {
	if c.Params.String("DBProxyEndpointName") != "" {
		return []string{c.ARN("rds", "db-proxy-endpoint:*")}, nil
	}
	return r.proxyARN(c)
}

func (r *RDS) someProxies(c *fakeaws.Call) ([]*Proxy, error) {
	if len(c.Params.List("Filters")) > 0 {
		return nil, wire.Errorf("InvalidParameterValue", "This operation has no filters")
	}
	name := c.Params.String("DBProxyName")
	if name == "" {
		return r.proxies.All(inventory.At(c)), nil
	}
	if p := r.proxies.Get(inventory.At(c), name); p != nil {
		return []*Proxy{p}, nil
	}
	return nil, wire.StatusErrorf(http.StatusNotFound, "DBProxyNotFoundFault", "DB proxy %s not found", name)
}

func (r *RDS) describeProxies(c *fakeaws.Call) (wire.Fields, error) {
	all, err := r.someProxies(c)
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "DBProxies", wire.ListOf("", page, func(p *Proxy) any { return p.fields() })), err
}

func (p *Proxy) fields() wire.Fields {
	auth := p.Auth
	if auth == nil {
		auth = []ProxyAuth{{SecretARN: p.Place.ARN("secretsmanager", "secret:"+p.Name+"-AbCdEf"), IAMAuth: map[bool]string{false: iamRequired, true: iamDisabled}[p.IAMOff]}}
	}
	return wire.Of("DBProxyName", p.Name, "DBProxyArn", p.ARN(), "Status", p.Status, "EngineFamily", p.EngineFamily, "VpcId", p.VPC,
		"VpcSecurityGroupIds", wire.Strings("", nil), "VpcSubnetIds", wire.Strings("", nil), "Auth", wire.ListOf("", auth, func(a ProxyAuth) any {
			return wire.Of("AuthScheme", "SECRETS", "SecretArn", a.SecretARN, "IAMAuth", cmp.Or(a.IAMAuth, iamDisabled))
		}),
		"RoleArn", wire.Optional(p.Role), "Endpoint", p.Host, "RequireTLS", !p.NoTLS, "IdleClientTimeout", 1800, "DebugLogging", false, "CreatedDate", p.Created)
}

// describeEndpoints lists the default endpoints too, marked as such.
func (r *RDS) describeEndpoints(c *fakeaws.Call) (wire.Fields, error) {
	proxies, err := r.someProxies(c)
	if err != nil {
		return nil, err
	}
	wanted := c.Params.String("DBProxyEndpointName")
	var all []wire.Fields
	for _, p := range proxies {
		endpoints := append([]*ProxyEndpoint{{Name: "default", Host: p.Host, Status: p.Status, Role: "READ_WRITE", VPC: p.VPC}}, p.Endpoints...)
		for i, e := range endpoints {
			if wanted != "" && (e.Name != wanted || i == 0) {
				continue
			}
			all = append(all, wire.Of("DBProxyEndpointName", e.Name, "DBProxyEndpointArn", p.endpointARN(e), "DBProxyName", p.Name,
				"Status", e.Status, "VpcId", e.VPC, "VpcSecurityGroupIds", wire.Strings("", nil), "VpcSubnetIds", wire.Strings("", nil), "Endpoint", e.Host,
				"CreatedDate", p.Created, "TargetRole", e.Role, "IsDefault", i == 0))
		}
	}
	if wanted != "" && len(all) == 0 {
		return nil, wire.StatusErrorf(http.StatusNotFound, "DBProxyEndpointNotFoundFault", "DB proxy endpoint %s not found", wanted)
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "DBProxyEndpoints", wire.ListOf("", page, func(f wire.Fields) any { return f })), err
}

func (p *Proxy) endpointARN(e *ProxyEndpoint) string {
	return p.Place.ARN("rds", "db-proxy-endpoint:prx-endpoint-"+strings.ToLower(p.Opaque(17, "endpoint", p.Name, e.Name)))
}

// listTags finds the resource by its ARN, in the caller's account and region.
func (r *RDS) listTags(c *fakeaws.Call) (wire.Fields, error) {
	arn := c.Params.String("ResourceName")
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) != 7 || parts[0] != "arn" || parts[2] != "rds" {
		return nil, wire.Errorf("InvalidParameterValue", "Invalid resource name: %s", arn)
	}
	at, id := inventory.At(c), parts[6]
	if parts[3] != at.Region || parts[4] != at.Account {
		return nil, wire.Errorf("InvalidParameterValue", "The specified resource name does not match an RDS resource in this region: %s", arn)
	}
	var tags map[string]string
	switch parts[5] {
	case "db":
		i := r.instances.Get(at, id)
		if i == nil {
			return nil, instanceNotFound(id)
		}
		tags = i.Tags
	case "cluster":
		k := r.clusters.Get(at, id)
		if k == nil {
			return nil, clusterNotFound(id)
		}
		tags = k.Tags
	case "db-proxy":
		p := r.proxyByID(at, id)
		if p == nil {
			return nil, wire.StatusErrorf(http.StatusNotFound, "DBProxyNotFoundFault", "DB proxy %s not found", id)
		}
		tags = p.Tags
	default:
		return nil, wire.Errorf("InvalidParameterValue", "Unknown resource type: %s", parts[5])
	}
	return wire.Of("TagList", inventory.TagList("Tag", tags)), nil
}

func (r *RDS) proxyByID(at inventory.Place, id string) *Proxy {
	for _, p := range r.proxies.All(at) {
		if p.ResourceID == id {
			return p
		}
	}
	return nil
}
