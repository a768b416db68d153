package elasticache

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// ReplicationGroup is a Redis or Valkey cache with its nodes. Only Place and ID must be set.
type ReplicationGroup struct {
	inventory.Place
	ID            string            `json:"id"`
	Engine        string            `json:"engine"`         // redis (default) or valkey
	EngineVersion string            `json:"engine_version"` // default 7.1
	Status        string            `json:"status"`         // default available
	ClusterMode   bool              `json:"cluster_mode"`
	Shards        int               `json:"shards"`   // default 1; more of them need ClusterMode
	Replicas      int               `json:"replicas"` // of each shard, besides its primary
	NoTLS         bool              `json:"no_tls"`   // encryption in transit is off
	Port          int               `json:"port"`     // default 6379
	UserGroups    []string          `json:"user_groups"`
	AuthToken     string            `json:"auth_token"`   // that everybody shares, without groups of users
	SubnetGroup   string            `json:"subnet_group"` // default default
	VPC           string            `json:"vpc"`          // of a subnet group that is not there yet
	Tags          map[string]string `json:"tags"`
	Created       time.Time         `json:"created"`

	nodes []*CacheCluster
}

// ARN is the group's.
func (g *ReplicationGroup) ARN() string {
	return g.Place.ARN("elasticache", "replicationgroup:"+g.ID)
}

// ConfigurationHost is where clients of a group in cluster mode begin.
func (g *ReplicationGroup) ConfigurationHost() string {
	if g.NoTLS {
		return g.ID + "." + hash(g.Place) + ".clustercfg." + shortRegion(g.Region) + ".cache" + g.Suffix()
	}
	return "clustercfg." + g.ID + "." + hash(g.Place) + "." + shortRegion(g.Region) + ".cache" + g.Suffix()
}

// PrimaryHost is the writing end of a group without cluster mode.
func (g *ReplicationGroup) PrimaryHost() string { return g.host("master", "") }

// ReaderHost is its reading end.
func (g *ReplicationGroup) ReaderHost() string { return g.host("replica", "-ro") }

func (g *ReplicationGroup) host(first, after string) string {
	if g.NoTLS {
		return g.ID + after + "." + hash(g.Place) + ".ng.0001." + shortRegion(g.Region) + ".cache" + g.Suffix()
	}
	return first + "." + g.ID + "." + hash(g.Place) + "." + shortRegion(g.Region) + ".cache" + g.Suffix()
}

func hash(at inventory.Place) string { return strings.ToLower(at.Opaque(6, "hosts")) }

// shortRegion is how ElastiCache writes regions in host names: us-west-1 is usw1, us-gov-west-1 usgw1.
func shortRegion(region string) string {
	parts := strings.Split(region, "-")
	number, direction := parts[len(parts)-1], parts[len(parts)-2]
	short := direction[:1]
	for _, start := range []string{"north", "south"} {
		if rest, ok := strings.CutPrefix(direction, start); ok && rest != "" {
			short += rest[:1]
		}
	}
	country := parts[0]
	if len(parts) == 4 {
		country += parts[1][:1]
	}
	return country + short + number
}

func (g *ReplicationGroup) place() inventory.Place { return g.Place }

func (g *ReplicationGroup) complete(e *ElastiCache) error {
	if g.ID == "" {
		return errors.New("a replication group has no id")
	}
	if g.Shards > 1 && !g.ClusterMode {
		return fmt.Errorf("replication group %s: several shards without cluster mode", g.ID)
	}
	g.Engine = cmp.Or(g.Engine, "redis")
	g.EngineVersion = cmp.Or(g.EngineVersion, "7.1")
	g.Status = cmp.Or(g.Status, "available")
	g.Shards = cmp.Or(g.Shards, 1)
	g.Port = cmp.Or(g.Port, 6379)
	g.SubnetGroup = cmp.Or(g.SubnetGroup, "default")
	g.VPC = cmp.Or(g.VPC, "vpc-"+strings.ToLower(g.Opaque(17, "vpc")))
	if g.Created.IsZero() {
		g.Created = e.world.Now()
	}
	g.nodes = nil
	for shard := range g.Shards {
		for node := range g.Replicas + 1 {
			id := fmt.Sprintf("%s-%03d", g.ID, node+1)
			if g.ClusterMode {
				id = fmt.Sprintf("%s-%04d-%03d", g.ID, shard+1, node+1)
			}
			one := &CacheCluster{Place: g.Place, ID: id, Engine: g.Engine, EngineVersion: g.EngineVersion, Status: g.Status, SubnetGroup: g.SubnetGroup, VPC: g.VPC,
				Created: g.Created, group: g.ID}
			if err := one.complete(e); err != nil {
				return err
			}
			g.nodes = append(g.nodes, one)
		}
	}
	return nil
}

func (g *ReplicationGroup) target(account *fakeaws.Account) (fakeaws.Target, func() []string, bool) {
	return fakeaws.Target{Service: fakeaws.ElastiCacheConnect, Host: g.ID, Account: account, Region: g.Region, ResourceID: g.ID},
		func() []string { return g.UserGroups }, true
}

func (g *ReplicationGroup) put(e *ElastiCache) {
	e.groups.Put(g.Place, g.ID, g)
	for _, node := range g.nodes {
		node.put(e)
	}
}

func (g *ReplicationGroup) remove(e *ElastiCache) {
	e.groups.Remove(g.Place, g.ID)
	for _, node := range g.nodes {
		node.remove(e)
	}
}

func groupNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "ReplicationGroupNotFoundFault", "ReplicationGroup %s not found.", id)
}

func (e *ElastiCache) describeGroups(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &e.groups, "ReplicationGroupId", groupNotFound)
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "ReplicationGroups", wire.ListOf("ReplicationGroup", page, func(g *ReplicationGroup) any { return g.fields() })), err
}

func (g *ReplicationGroup) fields() wire.Fields {
	endpoint := func(host string) any {
		if g.Status == "creating" {
			return nil
		}
		return wire.Of("Address", host, "Port", g.Port)
	}
	var configuration, userGroups any
	if g.ClusterMode {
		configuration = endpoint(g.ConfigurationHost())
	}
	if len(g.UserGroups) > 0 {
		userGroups = wire.Strings("", g.UserGroups)
	}
	var shards []wire.Fields
	for shard := range g.Shards {
		one := wire.Of("NodeGroupId", fmt.Sprintf("%04d", shard+1), "Status", g.Status)
		if !g.ClusterMode {
			one = append(one, wire.Of("PrimaryEndpoint", endpoint(g.PrimaryHost()), "ReaderEndpoint", endpoint(g.ReaderHost()))...)
		}
		shards = append(shards, one)
	}
	return wire.Of("ReplicationGroupId", g.ID, "Description", g.ID, "Status", g.Status,
		"MemberClusters", wire.ListOf("ClusterId", g.nodes, func(n *CacheCluster) any { return n.ID }),
		"NodeGroups", wire.ListOf("NodeGroup", shards, func(f wire.Fields) any { return f }), "AutomaticFailover", "enabled", "MultiAZ", "enabled",
		"ConfigurationEndpoint", configuration, "ClusterEnabled", g.ClusterMode, "CacheNodeType", "cache.t4g.micro", "AuthTokenEnabled", g.AuthToken != "",
		"TransitEncryptionEnabled", !g.NoTLS, "AtRestEncryptionEnabled", true, "ARN", g.ARN(), "UserGroupIds", userGroups, "ReplicationGroupCreateTime", g.Created,
		"Engine", g.Engine)
}
