package metadata

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/target"
)

func (d *Describer) elastiCache(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := elasticache.NewFromConfig(cfg)
	id := t.AWS.ElastiCache.ReplicationGroupID
	out, err := client.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(id)})
	if err != nil {
		return nil, err
	}
	group, err := one(out.ReplicationGroups, id)
	if err != nil {
		return nil, err
	}
	addresses := known(described.CacheAddress(group.ConfigurationEndpoint))
	for _, nodes := range group.NodeGroups {
		addresses = append(addresses, known(described.CacheAddress(nodes.PrimaryEndpoint), described.CacheAddress(nodes.ReaderEndpoint))...)
		for _, node := range nodes.NodeGroupMembers {
			addresses = append(addresses, known(described.CacheAddress(node.ReadEndpoint))...)
		}
	}
	found := &description{Database: described.ReplicationGroup(group), addresses: addresses}
	found.AWS.ElastiCache.EndpointType = t.AWS.ElastiCache.EndpointType
	found.Tags = d.cacheTags(ctx, client, t.Name, group.ARN)
	return found, nil
}

func (d *Describer) elastiCacheServerless(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := elasticache.NewFromConfig(cfg)
	name := t.AWS.ElastiCacheServerless.CacheName
	out, err := client.DescribeServerlessCaches(ctx, &elasticache.DescribeServerlessCachesInput{ServerlessCacheName: aws.String(name)})
	if err != nil {
		return nil, err
	}
	cache, err := one(out.ServerlessCaches, name)
	if err != nil {
		return nil, err
	}
	found := &description{Database: described.ServerlessCache(cache), addresses: known(described.CacheAddress(cache.Endpoint), described.CacheAddress(cache.ReaderEndpoint))}
	found.Tags = d.cacheTags(ctx, client, t.Name, cache.ARN)
	return found, nil
}

func (d *Describer) cacheTags(ctx context.Context, client *elasticache.Client, name string, arn *string) map[string]string {
	out, err := client.ListTagsForResource(ctx, &elasticache.ListTagsForResourceInput{ResourceName: arn})
	if err != nil {
		return d.tagged(name, nil, err)
	}
	return described.CacheTags(out.TagList)
}

func (d *Describer) memoryDB(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := memorydb.NewFromConfig(cfg)
	name := t.AWS.MemoryDB.ClusterName
	out, err := client.DescribeClusters(ctx, &memorydb.DescribeClustersInput{ClusterName: aws.String(name)})
	if err != nil {
		return nil, err
	}
	cluster, err := one(out.Clusters, name)
	if err != nil {
		return nil, err
	}
	found := &description{Database: described.MemoryDB(cluster)}
	found.AWS.MemoryDB.EndpointType = t.AWS.MemoryDB.EndpointType
	if at := cluster.ClusterEndpoint; at != nil {
		found.addresses = known(described.Address(at.Address, at.Port))
	}
	for _, shard := range cluster.Shards {
		for _, node := range shard.Nodes {
			if at := node.Endpoint; at != nil {
				found.addresses = append(found.addresses, known(described.Address(at.Address, at.Port))...)
			}
		}
	}
	tags, err := client.ListTags(ctx, &memorydb.ListTagsInput{ResourceArn: cluster.ARN})
	if err == nil {
		found.Tags = described.MemoryTags(tags.TagList)
	}
	found.Tags = d.tagged(t.Name, found.Tags, err)
	return found, nil
}
