package elasticache

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// CacheCluster is a node of a replication group, which is made by adding the group, or a cache of its own: a single Redis
// node, or memcached. Only Place and ID must be set.
type CacheCluster struct {
	inventory.Place
	ID            string            `json:"id"`
	Engine        string            `json:"engine"`         // redis (default), valkey or memcached
	EngineVersion string            `json:"engine_version"` // default 7.1
	Status        string            `json:"status"`         // default available
	SubnetGroup   string            `json:"subnet_group"`   // default default
	VPC           string            `json:"vpc"`            // of a subnet group that is not there yet
	Tags          map[string]string `json:"tags"`
	Created       time.Time         `json:"created"`

	group string
}

// SubnetGroup says which VPC a cache is in. It is made by adding a cache.
type SubnetGroup struct {
	inventory.Place
	Name, VPC string
}

func (k *CacheCluster) place() inventory.Place { return k.Place }

// ARN is the cluster's.
func (k *CacheCluster) ARN() string { return k.Place.ARN("elasticache", "cluster:"+k.ID) }

func (k *CacheCluster) complete(e *ElastiCache) error {
	if k.ID == "" {
		return errors.New("a cache cluster has no id")
	}
	k.Engine = cmp.Or(k.Engine, "redis")
	k.EngineVersion = cmp.Or(k.EngineVersion, "7.1")
	k.Status = cmp.Or(k.Status, "available")
	k.SubnetGroup = cmp.Or(k.SubnetGroup, "default")
	k.VPC = cmp.Or(k.VPC, "vpc-"+strings.ToLower(k.Opaque(17, "vpc")))
	if k.Created.IsZero() {
		k.Created = e.world.Now()
	}
	return nil
}

func (k *CacheCluster) target(*fakeaws.Account) (fakeaws.Target, func() []string, bool) {
	return fakeaws.Target{}, nil, false
}

func (k *CacheCluster) put(e *ElastiCache) {
	e.clusters.Put(k.Place, k.ID, k)
	if e.subnets.Get(k.Place, k.SubnetGroup) == nil {
		e.subnets.Put(k.Place, k.SubnetGroup, &SubnetGroup{k.Place, k.SubnetGroup, k.VPC})
	}
}

func (k *CacheCluster) remove(e *ElastiCache) { e.clusters.Remove(k.Place, k.ID) }

func clusterNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "CacheClusterNotFound", "CacheCluster not found: %s", id)
}

func (e *ElastiCache) describeClusters(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &e.clusters, "CacheClusterId", clusterNotFound)
	if err != nil {
		return nil, err
	}
	if c.Params.Bool("ShowCacheClustersNotInReplicationGroups") {
		var some []*CacheCluster
		for _, one := range all {
			if one.group == "" {
				some = append(some, one)
			}
		}
		all = some
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "CacheClusters", wire.ListOf("CacheCluster", page, func(k *CacheCluster) any {
		return wire.Of("CacheClusterId", k.ID, "CacheNodeType", "cache.t4g.micro", "Engine", k.Engine, "EngineVersion", k.EngineVersion+".0",
			"CacheClusterStatus", k.Status, "NumCacheNodes", 1, "CacheClusterCreateTime", k.Created, "CacheSubnetGroupName", k.SubnetGroup,
			"ReplicationGroupId", wire.Optional(k.group), "ARN", k.ARN())
	})), err
}

func (e *ElastiCache) describeSubnetGroups(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &e.subnets, "CacheSubnetGroupName", func(name string) error {
		return wire.StatusErrorf(http.StatusBadRequest, "CacheSubnetGroupNotFoundFault", "Cache Subnet Group %s does not exist.", name)
	})
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "CacheSubnetGroups", wire.ListOf("CacheSubnetGroup", page, func(g *SubnetGroup) any {
		subnet := wire.Of("SubnetIdentifier", "subnet-"+strings.ToLower(g.Opaque(17, "subnet", g.Name)), "SubnetAvailabilityZone", wire.Of("Name", g.Region+"a"))
		return wire.Of("CacheSubnetGroupName", g.Name, "CacheSubnetGroupDescription", g.Name, "VpcId", g.VPC,
			"Subnets", wire.ListOf("Subnet", []wire.Fields{subnet}, func(f wire.Fields) any { return f }), "ARN", g.ARN("elasticache", "subnetgroup:"+g.Name))
	})), err
}

// listTags finds the resource by its ARN, in the caller's account and region.
func (e *ElastiCache) listTags(c *fakeaws.Call) (wire.Fields, error) {
	arn, at := c.Params.String("ResourceName"), inventory.At(c)
	kind, id, _ := strings.Cut(strings.TrimPrefix(arn, at.ARN("elasticache", "")), ":")
	var tags map[string]string
	switch {
	case !strings.HasPrefix(arn, at.ARN("elasticache", "")):
		return nil, wire.Errorf("InvalidARN", "ARN is invalid: %s", arn)
	case kind == "replicationgroup":
		g := e.groups.Get(at, id)
		if g == nil {
			return nil, groupNotFound(id)
		}
		if g.Status == "creating" || g.Status == "deleting" {
			return nil, wire.Errorf("InvalidReplicationGroupState", "Replication group %s is not in available state.", id)
		}
		tags = g.Tags
	case kind == "cluster":
		k := e.clusters.Get(at, id)
		if k == nil {
			return nil, clusterNotFound(id)
		}
		tags = k.Tags
	case kind == "serverlesscache":
		s := e.serverless.Get(at, id)
		if s == nil {
			return nil, serverlessNotFound(id)
		}
		tags = s.Tags
	case kind == "user":
		u := e.users.Get(at, id)
		if u == nil {
			return nil, userNotFound(id)
		}
		tags = u.Tags
	case kind == "subnetgroup":
	default:
		return nil, wire.Errorf("InvalidARN", "ARN is invalid: %s", arn)
	}
	return wire.Of("TagList", inventory.TagList("Tag", tags)), nil
}
