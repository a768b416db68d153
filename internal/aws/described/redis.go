package described

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	memorytypes "github.com/aws/aws-sdk-go-v2/service/memorydb/types"

	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// ReplicationGroup describes a replication group of ElastiCache. AWS tells its version and VPC elsewhere.
func ReplicationGroup(group types.ReplicationGroup) Database {
	return Database{
		ARN: aws.ToString(group.ARN),
		AWS: resource.AWS{ElastiCache: resource.ElastiCache{
			ReplicationGroupID: aws.ToString(group.ReplicationGroupId), UserGroupIDs: group.UserGroupIds,
			TransitEncryptionEnabled: resource.Bool(aws.ToBool(group.TransitEncryptionEnabled)),
		}},
		Labels: map[string]string{labels.Engine: aws.ToString(group.Engine)},
	}
}

// ServerlessCache describes a cache of ElastiCache Serverless. AWS tells its VPC elsewhere.
func ServerlessCache(cache types.ServerlessCache) Database {
	found := Database{
		ARN:    aws.ToString(cache.ARN),
		AWS:    resource.AWS{ElastiCacheServerless: resource.ElastiCacheServerless{CacheName: aws.ToString(cache.ServerlessCacheName)}},
		Labels: map[string]string{labels.Engine: aws.ToString(cache.Engine), labels.EngineVersion: aws.ToString(cache.FullEngineVersion)},
	}
	if group := aws.ToString(cache.UserGroupId); group != "" {
		found.AWS.ElastiCacheServerless.UserGroupIDs = resource.Strings{group}
	}
	return found
}

// CacheAddress returns where an endpoint of ElastiCache is, or "".
func CacheAddress(at *types.Endpoint) string {
	if at == nil {
		return ""
	}
	return Address(at.Address, aws.ToInt32(at.Port))
}

// CacheTags makes a map of a list of tags.
func CacheTags(list []types.Tag) map[string]string {
	return TagsOf(list, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
}

// MemoryDB describes a cluster of MemoryDB. AWS tells its VPC elsewhere.
func MemoryDB(cluster memorytypes.Cluster) Database {
	return Database{
		ARN: aws.ToString(cluster.ARN),
		AWS: resource.AWS{MemoryDB: resource.MemoryDB{
			ClusterName: aws.ToString(cluster.Name), ACLName: aws.ToString(cluster.ACLName), TLSEnabled: resource.Bool(aws.ToBool(cluster.TLSEnabled)),
		}},
		Labels: map[string]string{labels.Engine: aws.ToString(cluster.Engine), labels.EngineVersion: aws.ToString(cluster.EngineVersion)},
	}
}

// MemoryTags makes a map of a list of tags.
func MemoryTags(list []memorytypes.Tag) map[string]string {
	return TagsOf(list, func(t memorytypes.Tag) (key, value *string) { return t.Key, t.Value })
}
