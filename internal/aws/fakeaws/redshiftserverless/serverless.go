// Package redshiftserverless is Redshift Serverless in the local AWS: workgroups, VPC endpoints, and passwords for them.
//
// What is added is known to the verifier at once, by the host names of workgroup and endpoints.
package redshiftserverless

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/wire"
)

// Serverless is the service's state.
type Serverless struct {
	world      *fakeaws.World
	workgroups inventory.Of[Workgroup]
	endpoints  inventory.Of[Endpoint]
}

// Workgroup is a workgroup. Only Place and Name must be set. Fields may be changed inside World.Update.
type Workgroup struct {
	inventory.Place
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"` // default the workgroup's name
	Status    string            `json:"status"`    // default AVAILABLE
	Host      string            `json:"host"`      // default one shaped like AWS's
	Port      int               `json:"port"`      // default 5439
	VPC       string            `json:"vpc"`
	Tags      map[string]string `json:"tags"`
	Endpoints []*Endpoint       `json:"endpoints"` // VPC endpoints that Redshift manages
	Created   time.Time         `json:"created"`
}

// Endpoint is a managed VPC endpoint.
type Endpoint struct {
	Name   string `json:"name"`
	Host   string `json:"host"`   // default one shaped like AWS's
	Status string `json:"status"` // default ACTIVE
	VPC    string `json:"vpc"`    // default the workgroup's

	of *Workgroup
}

// ID is the workgroup's id, by which permissions name it.
func (g *Workgroup) ID() string {
	id := strings.ToLower(g.Opaque(32, "workgroup", g.Name))
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// ARN is the workgroup's.
func (g *Workgroup) ARN() string { return g.Place.ARN("redshift-serverless", "workgroup/"+g.ID()) }

func (e *Endpoint) arn() string {
	return e.of.Place.ARN("redshift-serverless", "managedvpcendpoint/"+strings.ToLower(e.of.Opaque(20, "endpoint", e.Name)))
}

// New makes a Redshift Serverless with nothing in it.
func New(w *fakeaws.World) *Serverless { return &Serverless{world: w} }

// Add adds workgroups with their endpoints, filling in the fields that are left open.
func (s *Serverless) Add(all ...*Workgroup) error {
	for _, g := range all {
		if err := g.Check(s.world); err != nil {
			return err
		}
		if g.Name == "" {
			return fmt.Errorf("a workgroup has no name")
		}
		g.Namespace = cmp.Or(g.Namespace, g.Name)
		g.Status = cmp.Or(g.Status, "AVAILABLE")
		g.Host = cmp.Or(g.Host, fmt.Sprintf("%s.%s.%s.redshift-serverless%s", g.Name, g.Account, g.Region, g.Suffix()))
		g.Port = cmp.Or(g.Port, 5439)
		g.VPC = cmp.Or(g.VPC, "vpc-"+strings.ToLower(g.Opaque(17, "vpc")))
		if g.Created.IsZero() {
			g.Created = s.world.Now()
		}
		for _, e := range g.Endpoints {
			if e.Name == "" {
				return fmt.Errorf("workgroup %s: an endpoint has no name", g.Name)
			}
			e.of = g
			e.Host = cmp.Or(e.Host, fmt.Sprintf("%s-endpoint-%s.%s.%s.redshift-serverless%s", e.Name, strings.ToLower(g.Opaque(20, "hosts", e.Name)), g.Account, g.Region, g.Suffix()))
			e.Status = cmp.Or(e.Status, "ACTIVE")
			e.VPC = cmp.Or(e.VPC, g.VPC)
		}
		for _, host := range g.hosts() {
			s.world.AddTarget(fakeaws.Target{Service: fakeaws.RedshiftServerless, Host: host, Account: g.In(s.world), Region: g.Region, ResourceID: g.ARN()})
		}
		s.world.Update(func() {
			s.workgroups.Put(g.Place, g.Name, g)
			for _, e := range g.Endpoints {
				s.endpoints.Put(g.Place, e.Name, e)
			}
		})
	}
	return nil
}

func (g *Workgroup) hosts() []string {
	all := []string{g.Host}
	for _, e := range g.Endpoints {
		all = append(all, e.Host)
	}
	return all
}

// Service answers the calls.
func (s *Serverless) Service() *fakeaws.Service {
	workgroup := func(c *fakeaws.Call) ([]string, error) {
		if g := s.workgroups.Get(inventory.At(c), c.Params.String("workgroupName")); g != nil {
			return []string{g.ARN()}, nil
		}
		return []string{c.ARN("redshift-serverless", "workgroup/*")}, nil
	}
	endpoint := func(c *fakeaws.Call) ([]string, error) {
		if e := s.endpoints.Get(inventory.At(c), c.Params.String("endpointName")); e != nil {
			return []string{e.arn()}, nil
		}
		return []string{c.ARN("redshift-serverless", "managedvpcendpoint/*")}, nil
	}
	return &fakeaws.Service{Name: "redshift-serverless", Scope: "redshift-serverless", Protocol: wire.JSON11, Target: "RedshiftServerless", LoadState: s.loadState,
		Operations: []fakeaws.Operation{
			{Name: "ListWorkgroups", Action: "redshift-serverless:ListWorkgroups", Handle: s.listWorkgroups},
			{Name: "GetWorkgroup", Action: "redshift-serverless:GetWorkgroup", Resources: workgroup, Handle: s.getWorkgroup},
			{Name: "ListEndpointAccess", Action: "redshift-serverless:ListEndpointAccess", Handle: s.listEndpoints},
			{Name: "GetEndpointAccess", Action: "redshift-serverless:GetEndpointAccess", Resources: endpoint, Handle: s.getEndpoint},
			{Name: "GetCredentials", Action: "redshift-serverless:GetCredentials", Resources: workgroup, Handle: s.getCredentials},
			{Name: "ListTagsForResource", Action: "redshift-serverless:ListTagsForResource",
				Resources: func(c *fakeaws.Call) ([]string, error) { return []string{c.Params.String("resourceArn")}, nil }, Handle: s.listTags},
		}}
}

func (s *Serverless) loadState(_ *fakeaws.World, decode func(any) error) error {
	var state struct {
		Workgroups []*Workgroup `json:"workgroups"`
	}
	if err := decode(&state); err != nil {
		return err
	}
	return s.Add(state.Workgroups...)
}

func notFound(kind, name string) error {
	return wire.StatusErrorf(http.StatusNotFound, "ResourceNotFoundException", "The %s %s was not found.", kind, name)
}

var paging = inventory.Paging{Size: "maxResults", Token: "nextToken", SizeCode: "ValidationException", TokenCode: "ValidationException",
	Sizes: inventory.Sizes{Least: 1, Most: 100, Usual: 100}}

func (s *Serverless) listWorkgroups(c *fakeaws.Call) (wire.Fields, error) {
	page, next, err := inventory.Page(c, paging, s.workgroups.All(inventory.At(c)))
	return wire.Of("nextToken", next, "workgroups", wire.ListOf("", page, func(g *Workgroup) any { return g.fields() })), err
}

func (s *Serverless) getWorkgroup(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("workgroupName")
	g := s.workgroups.Get(inventory.At(c), name)
	if g == nil {
		return nil, notFound("workgroup", name)
	}
	return wire.Of("workgroup", g.fields()), nil
}

// date is how this service writes most of its times.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (g *Workgroup) fields() wire.Fields {
	vpc := wire.Of("vpcEndpointId", "vpce-"+strings.ToLower(g.Opaque(17, "vpce")), "vpcId", g.VPC)
	return wire.Of("workgroupArn", g.ARN(), "workgroupId", g.ID(), "workgroupName", g.Name, "namespaceName", g.Namespace, "status", g.Status,
		"creationDate", date(g.Created), "port", g.Port, "publiclyAccessible", false, "baseCapacity", 32,
		"endpoint", wire.Of("address", g.Host, "port", g.Port, "vpcEndpoints", wire.ListOf("", []wire.Fields{vpc}, func(f wire.Fields) any { return f })))
}

func (s *Serverless) listEndpoints(c *fakeaws.Call) (wire.Fields, error) {
	all := s.endpoints.All(inventory.At(c))
	if name := c.Params.String("workgroupName"); name != "" {
		g := s.workgroups.Get(inventory.At(c), name)
		if g == nil {
			return nil, notFound("workgroup", name)
		}
		all = g.Endpoints
	}
	if vpc := c.Params.String("vpcId"); vpc != "" {
		var some []*Endpoint
		for _, e := range all {
			if e.VPC == vpc {
				some = append(some, e)
			}
		}
		all = some
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("nextToken", next, "endpoints", wire.ListOf("", page, func(e *Endpoint) any { return e.fields() })), err
}

func (s *Serverless) getEndpoint(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("endpointName")
	e := s.endpoints.Get(inventory.At(c), name)
	if e == nil {
		return nil, notFound("endpoint", name)
	}
	return wire.Of("endpoint", e.fields()), nil
}

func (e *Endpoint) fields() wire.Fields {
	return wire.Of("address", e.Host, "port", e.of.Port, "endpointArn", e.arn(), "endpointName", e.Name, "endpointStatus", e.Status,
		"endpointCreateTime", date(e.of.Created), "workgroupName", e.of.Name,
		"vpcEndpoint", wire.Of("vpcEndpointId", "vpce-"+strings.ToLower(e.of.Opaque(17, "vpce", e.Name)), "vpcId", e.VPC))
}

func (s *Serverless) getCredentials(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("workgroupName")
	g := s.workgroups.Get(inventory.At(c), name)
	if g == nil {
		return nil, notFound("workgroup", name)
	}
	seconds, err := c.Params.Int("durationSeconds", 900)
	if err != nil {
		return nil, err
	}
	if seconds < 900 || seconds > 3600 {
		return nil, wire.Errorf("ValidationException", "Invalid durationSeconds %d: must be between 900 and 3600", seconds)
	}
	user, err := redshift.UserOf(c.Principal)
	if err != nil {
		return nil, err
	}
	c.Note("workgroupName", name)
	c.Note("dbName", c.Params.String("dbName"))
	lifetime := time.Duration(seconds) * time.Second
	password, expires := c.IssuePassword(fakeaws.RedshiftServerless, g.ARN(), user, c.Params.String("dbName"), lifetime)
	return wire.Of("dbUser", user, "dbPassword", password, "expiration", expires, "nextRefreshTime", expires.Add(-lifetime/4)), nil
}

func (s *Serverless) listTags(c *fakeaws.Call) (wire.Fields, error) {
	arn := c.Params.String("resourceArn")
	for _, g := range s.workgroups.All(inventory.At(c)) {
		if g.ARN() == arn {
			return wire.Of("tags", inventory.LowerTagList(g.Tags)), nil
		}
	}
	for _, e := range s.endpoints.All(inventory.At(c)) {
		if e.arn() == arn {
			return wire.Of("tags", inventory.LowerTagList(nil)), nil
		}
	}
	return nil, notFound("resource", arn)
}
