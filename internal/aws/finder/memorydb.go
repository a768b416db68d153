package finder

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"
	"github.com/aws/aws-sdk-go-v2/service/memorydb/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// memory is a cluster of MemoryDB that can be connected to.
type memory struct {
	tagged
	types.Cluster
}

// memoryDB finds clusters of MemoryDB.
func (l *look) memoryDB(ctx context.Context) error {
	client := memorydb.NewFromConfig(l.cfg)
	clusters, err := l.memories(ctx, client)
	if err != nil || len(clusters) == 0 {
		return err
	}
	vpcs, err := memoryVPCs(ctx, client)
	lacks, err := optional(err)
	if err != nil {
		return err
	}
	for _, one := range clusters {
		one.Labels[labels.VPC] = vpcs[aws.ToString(one.SubnetGroupName)]
		if one.lacks == nil {
			one.lacks = lacks
		}
		c := candidate{
			Database: one.Database, id: aws.ToString(one.Name), kind: endpoint.KindCluster, protocol: resource.ProtocolRedis, lacks: one.lacks,
			address: described.Address(one.ClusterEndpoint.Address, one.ClusterEndpoint.Port), labels: map[string]string{labels.EndpointType: endpoint.KindCluster},
			description: "MemoryDB cluster in " + l.Region,
		}
		c.AWS.MemoryDB.EndpointType = endpoint.KindCluster
		l.add(c)
	}
	return nil
}

func (l *look) memories(ctx context.Context, client *memorydb.Client) ([]memory, error) {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.Cluster, *string, error) {
		out, err := client.DescribeClusters(ctx, &memorydb.DescribeClustersInput{NextToken: token, MaxResults: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.Clusters, out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	var usable []memory
	for _, one := range all {
		switch {
		case !aws.ToBool(one.TLSEnabled):
			l.skip(one.Name, "TLS is off, without which IAM authentication is refused")
		case !l.available(one.Name, aws.ToString(one.Status), otherStates):
		case one.ClusterEndpoint == nil || aws.ToString(one.ClusterEndpoint.Address) == "":
			l.skip(one.Name, "it has no endpoint yet")
		default:
			usable = append(usable, memory{tagged{Database: described.MemoryDB(one)}, one})
		}
	}
	return usable, forEach(ctx, usable, func(ctx context.Context, m *memory) error {
		out, err := client.ListTags(ctx, &memorydb.ListTagsInput{ResourceArn: &m.Database.ARN})
		if err != nil {
			return m.note(nil, err)
		}
		return m.note(described.MemoryTags(out.TagList), nil)
	})
}

// memoryVPCs returns the VPC of each subnet group.
func memoryVPCs(ctx context.Context, client *memorydb.Client) (map[string]string, error) {
	groups, err := pages(ctx, func(ctx context.Context, token *string) ([]types.SubnetGroup, *string, error) {
		out, err := client.DescribeSubnetGroups(ctx, &memorydb.DescribeSubnetGroupsInput{NextToken: token, MaxResults: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.SubnetGroups, out.NextToken, nil
	})
	vpcs := make(map[string]string, len(groups))
	for _, one := range groups {
		vpcs[aws.ToString(one.Name)] = aws.ToString(one.VpcId)
	}
	return vpcs, err
}
