// Package opensearch is OpenSearch Service's API in the local AWS: domains, their endpoints and tags.
package opensearch

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// OpenSearch is the service's state.
type OpenSearch struct {
	world   *fakeaws.World
	domains inventory.Of[Domain]
}

// Domain is a domain. Only Place and Name must be set. Fields may be changed inside World.Update.
type Domain struct {
	inventory.Place
	Name           string            `json:"name"`
	EngineVersion  string            `json:"engine_version"` // default OpenSearch_2.11
	NotCreated     bool              `json:"not_created"`    // it is being made, and has no endpoint
	Deleted        bool              `json:"deleted"`        // it is being deleted
	Processing     bool              `json:"processing"`     // a change is on its way
	Silent         bool              `json:"silent"`         // it is listed and not described, as one that has just gone
	CustomEndpoint string            `json:"custom_endpoint"`
	VPC            string            `json:"vpc"` // then it has the endpoint vpc, and no public one
	Tags           map[string]string `json:"tags"`
}

// ARN is the domain's.
func (d *Domain) ARN() string { return d.Place.ARN("es", "domain/"+d.Name) }

// Host is the domain's endpoint, public or in a VPC.
func (d *Domain) Host() string {
	name := d.Name + "-" + strings.ToLower(d.Opaque(26, "domain", d.Name))
	if d.VPC != "" {
		return "vpc-" + name + "." + d.Region + ".es" + d.Suffix()
	}
	return "search-" + name + "." + d.Region + ".es" + d.Suffix()
}

// New makes an OpenSearch Service with nothing in it.
func New(w *fakeaws.World) *OpenSearch { return &OpenSearch{world: w} }

// Add adds domains, filling in the fields that are left open.
func (o *OpenSearch) Add(all ...*Domain) error {
	for _, d := range all {
		if err := d.Check(o.world); err != nil {
			return err
		}
		if d.Name == "" {
			return errors.New("a domain has no name")
		}
		d.EngineVersion = cmp.Or(d.EngineVersion, "OpenSearch_2.11")
		o.world.Update(func() { o.domains.Put(d.Place, d.Name, d) })
	}
	return nil
}

// Service answers the calls.
func (o *OpenSearch) Service() *fakeaws.Service {
	named := func(c *fakeaws.Call) ([]string, error) {
		var all []string
		for _, name := range c.Params.Strings("DomainNames") {
			all = append(all, c.ARN("es", "domain/"+name))
		}
		return all, nil
	}
	tagged := func(c *fakeaws.Call) ([]string, error) { return []string{c.Params.String("arn")}, nil }
	return &fakeaws.Service{Name: "opensearch", Scope: "es", Protocol: wire.RESTJSON, LoadState: o.loadState,
		Operations: []fakeaws.Operation{
			{Name: "ListDomainNames", Path: "GET /2021-01-01/domain", Action: "es:ListDomainNames", Handle: o.listNames},
			{Name: "DescribeDomains", Path: "POST /2021-01-01/opensearch/domain-info", Action: "es:DescribeDomains", Resources: named, Handle: o.describe},
			{Name: "ListTags", Path: "GET /2021-01-01/tags", Action: "es:ListTags", Resources: tagged, Handle: o.listTags},
		}}
}

func (o *OpenSearch) loadState(_ *fakeaws.World, decode func(any) error) error {
	var s struct {
		Domains []*Domain `json:"domains"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	return o.Add(s.Domains...)
}

func (d *Domain) engine() string {
	engine, _, _ := strings.Cut(d.EngineVersion, "_")
	return engine
}

func (o *OpenSearch) listNames(c *fakeaws.Call) (wire.Fields, error) {
	engine := c.Params.String("engineType")
	if engine != "" && engine != "OpenSearch" && engine != "Elasticsearch" {
		return nil, wire.Errorf("ValidationException", "Invalid engine type: %s", engine)
	}
	all := slices.DeleteFunc(slices.Clone(o.domains.All(inventory.At(c))), func(d *Domain) bool { return engine != "" && d.engine() != engine })
	return wire.Of("DomainNames", wire.ListOf("", all, func(d *Domain) any { return wire.Of("DomainName", d.Name, "EngineType", d.engine()) })), nil
}

// describe leaves domains out that are not there, and takes five names at most.
func (o *OpenSearch) describe(c *fakeaws.Call) (wire.Fields, error) {
	names := c.Params.Strings("DomainNames")
	if len(names) == 0 || len(names) > 5 {
		return nil, wire.Errorf("ValidationException", "Please provide a maximum of 5 domain names to describe.")
	}
	var all []*Domain
	for _, name := range names {
		if d := o.domains.Get(inventory.At(c), name); d != nil && !d.Silent {
			all = append(all, d)
		}
	}
	return wire.Of("DomainStatusList", wire.ListOf("", all, func(d *Domain) any { return d.fields() })), nil
}

func (d *Domain) fields() wire.Fields {
	var endpoint, endpoints, vpc, custom any
	switch {
	case d.NotCreated:
	case d.VPC != "":
		endpoints = wire.Map{"vpc": d.Host()}
	default:
		endpoint = d.Host()
	}
	if d.VPC != "" {
		vpc = wire.Of("VPCId", d.VPC, "SubnetIds", wire.Strings("", nil))
	}
	if d.CustomEndpoint != "" {
		custom = d.CustomEndpoint
	}
	return wire.Of("DomainId", d.Account+"/"+d.Name, "DomainName", d.Name, "ARN", d.ARN(), "Created", !d.NotCreated, "Deleted", d.Deleted,
		"Endpoint", endpoint, "Endpoints", endpoints, "Processing", d.Processing, "UpgradeProcessing", false, "EngineVersion", d.EngineVersion,
		"ClusterConfig", wire.Of("InstanceType", "t3.small.search", "InstanceCount", 1), "VPCOptions", vpc,
		"DomainEndpointOptions", wire.Of("EnforceHTTPS", true, "CustomEndpointEnabled", d.CustomEndpoint != "", "CustomEndpoint", custom),
		"AdvancedSecurityOptions", wire.Of("Enabled", true))
}

func (o *OpenSearch) listTags(c *fakeaws.Call) (wire.Fields, error) {
	arn := c.Params.String("arn")
	name, ok := strings.CutPrefix(arn, c.ARN("es", "domain/"))
	d := o.domains.Get(inventory.At(c), name)
	if !ok || d == nil {
		return nil, wire.StatusErrorf(http.StatusConflict, "ResourceNotFoundException", "Domain not found: %s", arn)
	}
	return wire.Of("TagList", inventory.TagList("", d.Tags)), nil
}
