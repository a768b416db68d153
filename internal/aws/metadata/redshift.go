package metadata

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
)

func (d *Describer) redshift(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	id := t.AWS.Redshift.ClusterID
	out, err := redshift.NewFromConfig(cfg).DescribeClusters(ctx, &redshift.DescribeClustersInput{ClusterIdentifier: aws.String(id)})
	if err != nil {
		return nil, err
	}
	cluster, err := one(out.Clusters, id)
	if err != nil {
		return nil, err
	}
	found := &description{Database: described.Redshift(cluster)}
	if at := cluster.Endpoint; at != nil {
		found.addresses = known(described.Address(at.Address, aws.ToInt32(at.Port)))
	}
	return found, nil
}

// redshiftServerless describes a workgroup, also for its VPC endpoints, whose names do not say whose they are.
func (d *Describer) redshiftServerless(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := redshiftserverless.NewFromConfig(cfg)
	name, private := t.AWS.RedshiftServerless.WorkgroupName, t.AWS.RedshiftServerless.EndpointName
	var addresses []string
	if private != "" {
		out, err := client.GetEndpointAccess(ctx, &redshiftserverless.GetEndpointAccessInput{EndpointName: aws.String(private)})
		if err != nil {
			return nil, err
		}
		if out.Endpoint == nil {
			return nil, noAnswer("VPC endpoint", private)
		}
		name = aws.ToString(out.Endpoint.WorkgroupName)
		addresses = known(described.Address(out.Endpoint.Address, aws.ToInt32(out.Endpoint.Port)))
	}
	out, err := client.GetWorkgroup(ctx, &redshiftserverless.GetWorkgroupInput{WorkgroupName: aws.String(name)})
	if err != nil {
		return nil, err
	}
	group := out.Workgroup
	if group == nil {
		return nil, noAnswer("workgroup", name)
	}
	found := &description{Database: described.Workgroup(*group), addresses: addresses}
	found.AWS.RedshiftServerless.EndpointName = private
	if at := group.Endpoint; at != nil {
		if private == "" {
			found.addresses = known(described.Address(at.Address, aws.ToInt32(at.Port)))
		} else { // the certificate is the workgroup's
			found.serverName = aws.ToString(at.Address)
			found.Labels[labels.Workgroup] = name
		}
	}
	tags, err := client.ListTagsForResource(ctx, &redshiftserverless.ListTagsForResourceInput{ResourceArn: group.WorkgroupArn})
	if err == nil {
		found.Tags = described.ServerlessTags(tags.Tags)
	}
	found.Tags = d.tagged(t.Name, found.Tags, err)
	return found, nil
}
