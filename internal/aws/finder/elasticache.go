package finder

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// group is a replication group that can be connected to.
type group struct {
	tagged
	types.ReplicationGroup
}

// elastiCache finds replication groups. Caches of one node outside a group have no IAM authentication.
func (l *look) elastiCache(ctx context.Context) error {
	client := elasticache.NewFromConfig(l.cfg)
	groups, err := l.groups(ctx, client)
	if err != nil || len(groups) == 0 {
		return err
	}
	nodes, err := nodeLabels(ctx, client)
	lacks, err := optional(err)
	if err != nil {
		return err
	}
	for i := range groups {
		g := &groups[i]
		for key, value := range nodes[aws.ToString(g.ReplicationGroupId)] {
			g.Labels[key] = value
		}
		if g.lacks == nil {
			g.lacks = lacks
		}
		l.groupEndpoints(g)
	}
	return nil
}

func (l *look) groups(ctx context.Context, client *elasticache.Client) ([]group, error) {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.ReplicationGroup, *string, error) {
		out, err := client.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.ReplicationGroups, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	var usable []group
	for _, one := range all {
		if !aws.ToBool(one.TransitEncryptionEnabled) {
			l.skip(one.ReplicationGroupId, "encryption in transit is off, without which IAM authentication is refused")
			continue
		}
		if l.available(one.ReplicationGroupId, aws.ToString(one.Status), otherStates) {
			usable = append(usable, group{tagged{Database: described.ReplicationGroup(one)}, one})
		}
	}
	return usable, forEach(ctx, usable, func(ctx context.Context, g *group) error { return cacheTags(ctx, client, &g.tagged) })
}

func cacheTags(ctx context.Context, client *elasticache.Client, one *tagged) error {
	out, err := client.ListTagsForResource(ctx, &elasticache.ListTagsForResourceInput{ResourceName: &one.Database.ARN})
	if err != nil {
		return one.note(nil, err)
	}
	return one.note(described.CacheTags(out.TagList), nil)
}

// nodeLabels returns what only the nodes of each replication group tell: version and VPC.
func nodeLabels(ctx context.Context, client *elasticache.Client) (map[string]map[string]string, error) {
	nodes, err := pages(ctx, func(ctx context.Context, token *string) ([]types.CacheCluster, *string, error) {
		out, err := client.DescribeCacheClusters(ctx, &elasticache.DescribeCacheClustersInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.CacheClusters, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	subnetGroups := map[string]string{}
	for _, node := range nodes {
		if id := aws.ToString(node.ReplicationGroupId); id != "" {
			found[id] = map[string]string{labels.EngineVersion: aws.ToString(node.EngineVersion)}
			subnetGroups[id] = aws.ToString(node.CacheSubnetGroupName)
		}
	}
	subnets, err := pages(ctx, func(ctx context.Context, token *string) ([]types.CacheSubnetGroup, *string, error) {
		out, err := client.DescribeCacheSubnetGroups(ctx, &elasticache.DescribeCacheSubnetGroupsInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.CacheSubnetGroups, out.Marker, nil
	})
	vpcs := make(map[string]string, len(subnets))
	for _, one := range subnets {
		vpcs[aws.ToString(one.CacheSubnetGroupName)] = aws.ToString(one.VpcId)
	}
	for id, name := range subnetGroups {
		found[id][labels.VPC] = vpcs[name]
	}
	return found, err
}

// groupEndpoints adds the one address that leads to all shards, or those of writer and readers where there are no shards.
func (l *look) groupEndpoints(g *group) {
	add := func(at *types.Endpoint, kind, name string) {
		c := candidate{
			Database: g.Database, id: aws.ToString(g.ReplicationGroupId), endpoint: name, address: described.CacheAddress(at), kind: kind,
			protocol: resource.ProtocolRedis, labels: map[string]string{labels.EndpointType: kind}, lacks: g.lacks,
			description: "ElastiCache cluster in " + l.Region + " (" + kind + " endpoint)",
		}
		c.AWS.ElastiCache.EndpointType = kind
		if c.address == "" {
			l.skip(g.ReplicationGroupId, "it has no endpoint yet", "endpoint", kind)
			return
		}
		l.add(c)
	}
	if aws.ToBool(g.ClusterEnabled) {
		add(g.ConfigurationEndpoint, endpoint.KindConfiguration, "")
		return
	}
	for _, nodes := range g.NodeGroups {
		add(nodes.PrimaryEndpoint, endpoint.KindPrimary, "")
		add(nodes.ReaderEndpoint, endpoint.KindReader, endpoint.KindReader)
	}
}
