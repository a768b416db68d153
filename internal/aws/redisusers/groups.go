package redisusers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/target"
)

// Groups asks AWS for the groups of users of a database, or its ACL.
func Groups(ctx context.Context, cfg aws.Config, t *target.Target) (groups []string, err error) {
	switch t.Type {
	case endpoint.ElastiCache:
		out, err := elasticache.NewFromConfig(cfg).DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(t.AWS.ElastiCache.ReplicationGroupID)})
		if err != nil {
			return nil, err
		}
		for _, one := range out.ReplicationGroups {
			groups = append(groups, one.UserGroupIds...)
		}
	case endpoint.ElastiCacheServerless:
		out, err := elasticache.NewFromConfig(cfg).DescribeServerlessCaches(ctx, &elasticache.DescribeServerlessCachesInput{ServerlessCacheName: aws.String(t.AWS.ElastiCacheServerless.CacheName)})
		if err != nil {
			return nil, err
		}
		for _, one := range out.ServerlessCaches {
			groups = append(groups, aws.ToString(one.UserGroupId))
		}
	case endpoint.MemoryDB:
		out, err := memorydb.NewFromConfig(cfg).DescribeClusters(ctx, &memorydb.DescribeClustersInput{ClusterName: aws.String(t.AWS.MemoryDB.ClusterName)})
		if err != nil {
			return nil, err
		}
		for _, one := range out.Clusters {
			groups = append(groups, aws.ToString(one.ACLName))
		}
	}
	return groups, nil
}

// Known returns the groups of users of a database, or its ACL, as far as its agent has found them out.
func Known(t *target.Target) []string {
	switch {
	case t.Type == endpoint.ElastiCache:
		return t.AWS.ElastiCache.UserGroupIDs
	case t.Type == endpoint.ElastiCacheServerless:
		return t.AWS.ElastiCacheServerless.UserGroupIDs
	case t.AWS.MemoryDB.ACLName != "":
		return []string{t.AWS.MemoryDB.ACLName}
	default:
		return nil
	}
}
