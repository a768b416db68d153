// Package rds is RDS in the local AWS: instances, Aurora and DocumentDB clusters, proxies, and their endpoints.
//
// What is added is known to the verifier at once, under each of its endpoints, and follows what ModifyDBInstance,
// ModifyDBCluster and ModifyDBProxy change.
package rds

import (
	"fmt"
	"slices"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// RDS is the service's state. Its fields and what they lead to may be changed inside World.Update only.
type RDS struct {
	// Engines are the engines that a region knows, where it does not know all of them: asking for another one is an error.
	Engines map[string][]string

	world     *fakeaws.World
	instances inventory.Of[Instance]
	clusters  inventory.Of[Cluster]
	proxies   inventory.Of[Proxy]
}

// Resource is an *Instance, *Cluster or *Proxy.
type Resource interface {
	complete(*RDS) error // fills in what was left open
	place() inventory.Place
	targets(*fakeaws.Account) []fakeaws.Target
	put(*RDS, []*fakeaws.Target)
	remove(*RDS)
}

// New makes an RDS with nothing in it.
func New(w *fakeaws.World) *RDS { return &RDS{world: w, Engines: map[string][]string{}} }

// Add adds resources, filling in the fields that are left open. Later they are changed through the same pointers, inside
// World.Update.
func (r *RDS) Add(all ...Resource) error {
	for _, one := range all {
		if err := one.place().Check(r.world); err != nil {
			return err
		}
		if err := one.complete(r); err != nil {
			return err
		}
		var known []*fakeaws.Target
		for _, target := range one.targets(one.place().In(r.world)) {
			known = append(known, r.world.AddTarget(target))
		}
		r.world.Update(func() { one.put(r, known) })
	}
	return nil
}

// Remove makes resources disappear.
func (r *RDS) Remove(all ...Resource) {
	for _, one := range all {
		for _, target := range one.targets(one.place().In(r.world)) {
			r.world.RemoveTarget(target.Service, target.Host)
		}
		r.world.Update(func() { one.remove(r) })
	}
}

// Service answers the calls.
func (r *RDS) Service() *fakeaws.Service {
	const arn = "rds"
	return &fakeaws.Service{Name: "rds", Scope: "rds", Protocol: wire.Query, Version: "2014-10-31",
		Namespace: "http://rds.amazonaws.com/doc/2014-10-31/", LoadState: r.loadState,
		Operations: []fakeaws.Operation{
			{Name: "DescribeDBInstances", Action: "rds:DescribeDBInstances",
				Resources: inventory.OneARN(arn, "db:", "DBInstanceIdentifier"), Handle: r.describeInstances},
			{Name: "DescribeDBClusters", Action: "rds:DescribeDBClusters",
				Resources: inventory.OneARN(arn, "cluster:", "DBClusterIdentifier"), Handle: r.describeClusters},
			{Name: "ModifyDBInstance", Action: "rds:ModifyDBInstance",
				Resources: inventory.OneARN(arn, "db:", "DBInstanceIdentifier"), Context: r.instanceContext, Handle: r.modifyInstance},
			{Name: "ModifyDBCluster", Action: "rds:ModifyDBCluster",
				Resources: inventory.OneARN(arn, "cluster:", "DBClusterIdentifier"), Context: r.clusterContext, Handle: r.modifyCluster},
			{Name: "ModifyDBProxy", Action: "rds:ModifyDBProxy", Resources: r.proxyARN, Handle: r.modifyProxy},
			{Name: "DescribeDBProxies", Action: "rds:DescribeDBProxies", Resources: r.proxyARN, Handle: r.describeProxies},
			{Name: "DescribeDBProxyEndpoints", Action: "rds:DescribeDBProxyEndpoints", Resources: r.endpointARN, Handle: r.describeEndpoints},
			{Name: "ListTagsForResource", Action: "rds:ListTagsForResource",
				Resources: func(c *fakeaws.Call) ([]string, error) { return []string{c.Params.String("ResourceName")}, nil }, Handle: r.listTags},
		}}
}

// State is RDS's part of a world file.
type State struct {
	Instances []*Instance         `json:"instances"`
	Clusters  []*Cluster          `json:"clusters"`
	Proxies   []*Proxy            `json:"proxies"`
	Engines   map[string][]string `json:"engines"` // by region, as RDS.Engines
	Many      []Many              `json:"many"`
}

func (r *RDS) loadState(w *fakeaws.World, decode func(any) error) error {
	var s State
	if err := decode(&s); err != nil {
		return err
	}
	w.Update(func() { r.Engines = s.Engines })
	var all []Resource
	for _, one := range s.Instances {
		all = append(all, one)
	}
	for _, one := range s.Clusters {
		all = append(all, one)
	}
	for _, one := range s.Proxies {
		all = append(all, one)
	}
	for _, one := range s.Many {
		all = append(all, one.Make()...)
	}
	return r.Add(all...)
}

// Many are instances for tests of large numbers.
type Many struct {
	Count   int               `json:"count"` // in all
	Account string            `json:"account"`
	Regions []string          `json:"regions"` // they are dealt out to these in turn
	Prefix  string            `json:"prefix"`  // of their names, before a number; default db
	Engine  string            `json:"engine"`  // default postgres
	Tags    map[string]string `json:"tags"`
}

// Make makes the instances: db-00000, db-00001 …
func (m Many) Make() []Resource {
	if m.Prefix == "" {
		m.Prefix = "db"
	}
	var all []Resource
	for i := range m.Count {
		all = append(all, &Instance{Place: inventory.Place{Account: m.Account, Region: m.Regions[i%len(m.Regions)]},
			ID: fmt.Sprintf("%s-%05d", m.Prefix, i), Engine: m.Engine, Tags: m.Tags})
	}
	return all
}

// engines are all that RDS knows.
var engines = []string{"aurora", "aurora-mysql", "aurora-postgresql", "mariadb", "mysql", "postgres", "docdb", "neptune",
	"oracle-ee", "oracle-se2", "sqlserver-ee", "sqlserver-se", "sqlserver-ex", "sqlserver-web", "custom-oracle-ee", "db2-se"}

func (r *RDS) knowsEngine(region, engine string) bool {
	if some, limited := r.Engines[region]; limited {
		return slices.Contains(some, engine)
	}
	return slices.Contains(engines, engine)
}

var paging = inventory.Paging{Size: "MaxRecords", Token: "Marker", SizeCode: "InvalidParameterValue", TokenCode: "InvalidParameterValue",
	Sizes: inventory.Sizes{Least: 20, Most: 100, Usual: 100}}
