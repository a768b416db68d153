// Package redshift is provisioned Redshift in the local AWS: it describes clusters and issues passwords for them.
//
// What is added is known to the verifier at once, by its host name.
package redshift

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Redshift is the service's state.
type Redshift struct {
	world    *fakeaws.World
	clusters inventory.Of[Cluster]
}

// Cluster is a provisioned cluster. Only Place and ID must be set. Fields may be changed inside World.Update.
type Cluster struct {
	inventory.Place
	ID         string            `json:"id"`
	Status     string            `json:"status"`      // default available
	Database   string            `json:"database"`    // default dev
	Host       string            `json:"host"`        // default one shaped like AWS's
	Port       int               `json:"port"`        // default 5439
	NoEndpoint bool              `json:"no_endpoint"` // it has none yet
	VPC        string            `json:"vpc"`
	Tags       map[string]string `json:"tags"`
	Created    time.Time         `json:"created"`
}

// NamespaceARN is the ARN that account and region are told by.
func (k *Cluster) NamespaceARN() string {
	id := strings.ToLower(k.Opaque(32, "namespace", k.ID))
	return k.Place.ARN("redshift", "namespace:"+id[:8]+"-"+id[8:12]+"-"+id[12:16]+"-"+id[16:20]+"-"+id[20:])
}

// New makes a Redshift with nothing in it.
func New(w *fakeaws.World) *Redshift { return &Redshift{world: w} }

// Add adds clusters, filling in the fields that are left open.
func (r *Redshift) Add(all ...*Cluster) error {
	for _, k := range all {
		if err := k.Check(r.world); err != nil {
			return err
		}
		if k.ID == "" {
			return fmt.Errorf("a cluster has no id")
		}
		k.Status = cmp.Or(k.Status, "available")
		k.Database = cmp.Or(k.Database, "dev")
		k.Host = cmp.Or(k.Host, hostName(k))
		k.Port = cmp.Or(k.Port, 5439)
		k.VPC = cmp.Or(k.VPC, "vpc-"+strings.ToLower(k.Opaque(17, "vpc")))
		if k.Created.IsZero() {
			k.Created = r.world.Now()
		}
		r.world.AddTarget(fakeaws.Target{Service: fakeaws.Redshift, Host: k.Host, Account: k.In(r.world), Region: k.Region, ResourceID: k.NamespaceARN()})
		r.world.Update(func() { r.clusters.Put(k.Place, k.ID, k) })
	}
	return nil
}

func hostName(k *Cluster) string {
	middle := k.Region + ".redshift"
	if fakeaws.PartitionOf(k.Region) == "aws-cn" {
		middle = "redshift." + k.Region
	}
	return k.ID + "." + strings.ToLower(k.Opaque(12, "hosts")) + "." + middle + k.Suffix()
}

// Service answers the calls.
func (r *Redshift) Service() *fakeaws.Service {
	return &fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01",
		Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", LoadState: r.loadState,
		Operations: []fakeaws.Operation{
			{Name: "DescribeClusters", Action: "redshift:DescribeClusters",
				Resources: inventory.OneARN("redshift", "cluster:", "ClusterIdentifier"), Handle: r.describeClusters},
			{Name: "GetClusterCredentials", Action: "redshift:GetClusterCredentials", Resources: userAndDatabase, Context: credentialsContext, Handle: r.getCredentials},
			{Name: "GetClusterCredentialsWithIAM", Action: "redshift:GetClusterCredentialsWithIAM", Resources: database, Context: credentialsContext, Handle: r.getCredentialsWithIAM},
		}}
}

func (r *Redshift) loadState(_ *fakeaws.World, decode func(any) error) error {
	var s struct {
		Clusters []*Cluster `json:"clusters"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	return r.Add(s.Clusters...)
}

var paging = inventory.Paging{Size: "MaxRecords", Token: "Marker", SizeCode: "InvalidParameterValue", TokenCode: "InvalidParameterValue",
	Sizes: inventory.Sizes{Least: 20, Most: 100, Usual: 100}}

func notFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "ClusterNotFound", "Cluster %s not found.", id)
}

func (r *Redshift) describeClusters(c *fakeaws.Call) (wire.Fields, error) {
	all := r.clusters.All(inventory.At(c))
	if id := c.Params.String("ClusterIdentifier"); id != "" {
		one := r.clusters.Get(inventory.At(c), id)
		if one == nil {
			return nil, notFound(id)
		}
		all = []*Cluster{one}
	}
	keys, values := c.Params.Strings("TagKeys"), c.Params.Strings("TagValues")
	if len(keys)+len(values) > 0 { // either is enough
		all = slices.DeleteFunc(slices.Clone(all), func(k *Cluster) bool {
			for key, value := range k.Tags {
				if slices.Contains(keys, key) || slices.Contains(values, value) {
					return false
				}
			}
			return true
		})
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "Clusters", wire.ListOf("Cluster", page, func(k *Cluster) any { return k.fields() })), err
}

func (k *Cluster) fields() wire.Fields {
	var endpoint any
	if !k.NoEndpoint {
		endpoint = wire.Of("Address", k.Host, "Port", k.Port)
	}
	return wire.Of("ClusterIdentifier", k.ID, "NodeType", "ra3.xlplus", "ClusterStatus", k.Status, "ClusterAvailabilityStatus", "Available",
		"MasterUsername", "awsuser", "DBName", k.Database, "Endpoint", endpoint, "ClusterCreateTime", k.Created, "VpcId", k.VPC, "NumberOfNodes", 2,
		"PubliclyAccessible", false, "Encrypted", true, "ClusterNamespaceArn", k.NamespaceARN(), "Tags", inventory.TagList("Tag", k.Tags))
}
