package metadata

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"
	memorytypes "github.com/aws/aws-sdk-go-v2/service/memorydb/types"

	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/resource"
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
	addresses := known(cacheAddress(group.ConfigurationEndpoint))
	for _, nodes := range group.NodeGroups {
		addresses = append(addresses, known(cacheAddress(nodes.PrimaryEndpoint), cacheAddress(nodes.ReaderEndpoint))...)
		for _, node := range nodes.NodeGroupMembers {
			addresses = append(addresses, known(cacheAddress(node.ReadEndpoint))...)
		}
	}
	return &description{
		arn: aws.ToString(group.ARN),
		aws: resource.AWS{ElastiCache: resource.ElastiCache{
			ReplicationGroupID: id, UserGroupIDs: group.UserGroupIds,
			TransitEncryptionEnabled: resource.Bool(aws.ToBool(group.TransitEncryptionEnabled)), EndpointType: t.AWS.ElastiCache.EndpointType,
		}},
		addresses: addresses,
		labels:    map[string]string{labels.Engine: aws.ToString(group.Engine)},
		tags:      d.cacheTags(ctx, client, t.Name, group.ARN),
	}, nil
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
	return &description{
		arn:       aws.ToString(cache.ARN),
		aws:       resource.AWS{ElastiCacheServerless: resource.ElastiCacheServerless{CacheName: name}},
		addresses: known(cacheAddress(cache.Endpoint), cacheAddress(cache.ReaderEndpoint)),
		labels:    map[string]string{labels.Engine: aws.ToString(cache.Engine), labels.EngineVersion: aws.ToString(cache.FullEngineVersion)},
		tags:      d.cacheTags(ctx, client, t.Name, cache.ARN),
	}, nil
}

func cacheAddress(at *types.Endpoint) string {
	if at == nil {
		return ""
	}
	return hostPort(at.Address, aws.ToInt32(at.Port))
}

func (d *Describer) cacheTags(ctx context.Context, client *elasticache.Client, name string, arn *string) map[string]string {
	out, err := client.ListTagsForResource(ctx, &elasticache.ListTagsForResourceInput{ResourceName: arn})
	if err != nil {
		return d.tagged(name, nil, err)
	}
	return tagsOf(out.TagList, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
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
	found := &description{
		arn: aws.ToString(cluster.ARN),
		aws: resource.AWS{MemoryDB: resource.MemoryDB{
			ClusterName: name, ACLName: aws.ToString(cluster.ACLName), TLSEnabled: resource.Bool(aws.ToBool(cluster.TLSEnabled)), EndpointType: t.AWS.MemoryDB.EndpointType,
		}},
		labels: map[string]string{labels.Engine: aws.ToString(cluster.Engine), labels.EngineVersion: aws.ToString(cluster.EngineVersion)},
	}
	if at := cluster.ClusterEndpoint; at != nil {
		found.addresses = known(hostPort(at.Address, at.Port))
	}
	for _, shard := range cluster.Shards {
		for _, node := range shard.Nodes {
			if at := node.Endpoint; at != nil {
				found.addresses = append(found.addresses, known(hostPort(at.Address, at.Port))...)
			}
		}
	}
	tags, err := client.ListTags(ctx, &memorydb.ListTagsInput{ResourceArn: cluster.ARN})
	if err == nil {
		found.tags = tagsOf(tags.TagList, func(t memorytypes.Tag) (key, value *string) { return t.Key, t.Value })
	}
	found.tags = d.tagged(t.Name, found.tags, err)
	return found, nil
}
