package finder

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshift/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/resource"
)

// redshift finds provisioned clusters.
func (l *look) redshift(ctx context.Context) error {
	client := redshift.NewFromConfig(l.cfg)
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.Cluster, *string, error) {
		out, err := client.DescribeClusters(ctx, &redshift.DescribeClustersInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.Clusters, out.Marker, nil
	})
	if err != nil {
		return err
	}
	for _, cluster := range all {
		id := cluster.ClusterIdentifier
		if !l.available(id, aws.ToString(cluster.ClusterStatus), redshiftStates) {
			continue
		}
		if cluster.Endpoint == nil || aws.ToString(cluster.Endpoint.Address) == "" {
			l.skip(id, "it has no endpoint yet")
			continue
		}
		l.add(candidate{
			Database: described.Redshift(cluster), id: aws.ToString(id), protocol: resource.ProtocolPostgres,
			address:     described.Address(cluster.Endpoint.Address, aws.ToInt32(cluster.Endpoint.Port)),
			description: "Redshift cluster in " + l.Region,
		})
	}
	return nil
}
