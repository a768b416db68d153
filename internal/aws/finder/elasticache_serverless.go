package finder

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// cache is a serverless cache that can be connected to.
type cache struct {
	tagged
	types.ServerlessCache
}

const cachePageSize = 50 // the largest of DescribeServerlessCaches

// elastiCacheServerless finds serverless caches.
func (l *look) elastiCacheServerless(ctx context.Context) error {
	client := elasticache.NewFromConfig(l.cfg)
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.ServerlessCache, *string, error) {
		out, err := client.DescribeServerlessCaches(ctx, &elasticache.DescribeServerlessCachesInput{NextToken: token, MaxResults: aws.Int32(cachePageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.ServerlessCaches, out.NextToken, nil
	})
	if err != nil {
		return err
	}
	var caches []cache
	subnets := map[string]bool{}
	for _, one := range all {
		switch engine := aws.ToString(one.Engine); {
		case engine != "redis" && engine != "valkey":
			l.skip(one.ServerlessCacheName, "its engine is not supported", "engine", engine)
		case !l.available(one.ServerlessCacheName, aws.ToString(one.Status), otherStates):
		case described.CacheAddress(one.Endpoint) == "":
			l.skip(one.ServerlessCacheName, "it has no endpoint yet")
		default:
			caches = append(caches, cache{tagged{Database: described.ServerlessCache(one)}, one})
			if len(one.SubnetIds) > 0 {
				subnets[one.SubnetIds[0]] = true
			}
		}
	}
	if err := forEach(ctx, caches, func(ctx context.Context, c *cache) error { return cacheTags(ctx, client, &c.tagged) }); err != nil {
		return err
	}
	vpcs, err := l.subnetVPCs(ctx, slices.Sorted(maps.Keys(subnets)))
	lacks, err := optional(err)
	if err != nil {
		return err
	}
	for _, one := range caches {
		if len(one.SubnetIds) > 0 {
			one.Labels[labels.VPC] = vpcs[one.SubnetIds[0]]
			if one.lacks == nil {
				one.lacks = lacks
			}
		}
		l.add(candidate{
			Database: one.Database, id: aws.ToString(one.ServerlessCacheName), address: described.CacheAddress(one.Endpoint),
			protocol: resource.ProtocolRedis, lacks: one.lacks, description: "ElastiCache Serverless cache in " + l.Region,
		})
	}
	return nil
}

// maxFilter is how many values a filter of EC2 may have.
const maxFilter = 200

// subnetVPCs returns the VPC of each subnet. They are filtered for and not named, as an unknown name fails the whole call.
func (l *look) subnetVPCs(ctx context.Context, ids []string) (map[string]string, error) {
	client := ec2.NewFromConfig(l.cfg)
	vpcs := make(map[string]string, len(ids))
	for some := range slices.Chunk(ids, maxFilter) {
		subnets, err := pages(ctx, func(ctx context.Context, token *string) ([]ec2types.Subnet, *string, error) {
			out, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{
				Filters: []ec2types.Filter{{Name: aws.String("subnet-id"), Values: some}}, NextToken: token,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.Subnets, out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
		for _, one := range subnets {
			vpcs[aws.ToString(one.SubnetId)] = aws.ToString(one.VpcId)
		}
	}
	return vpcs, nil
}
