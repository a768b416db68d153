package metadata

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshift/types"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"
	serverlesstypes "github.com/aws/aws-sdk-go-v2/service/redshiftserverless/types"

	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/resource"
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
	found := &description{
		arn:    aws.ToString(cluster.ClusterNamespaceArn), // the only ARN that it has
		aws:    resource.AWS{Redshift: resource.Redshift{ClusterID: id}},
		labels: map[string]string{labels.VPC: aws.ToString(cluster.VpcId)},
		tags:   tagsOf(cluster.Tags, func(t types.Tag) (key, value *string) { return t.Key, t.Value }),
	}
	if at := cluster.Endpoint; at != nil {
		found.addresses = known(hostPort(at.Address, aws.ToInt32(at.Port)))
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
		name = aws.ToString(out.Endpoint.WorkgroupName)
		addresses = known(hostPort(out.Endpoint.Address, aws.ToInt32(out.Endpoint.Port)))
	}
	out, err := client.GetWorkgroup(ctx, &redshiftserverless.GetWorkgroupInput{WorkgroupName: aws.String(name)})
	if err != nil {
		return nil, err
	}
	group := out.Workgroup
	found := &description{
		arn:       aws.ToString(group.WorkgroupArn),
		aws:       resource.AWS{RedshiftServerless: resource.RedshiftServerless{WorkgroupName: name, EndpointName: private, WorkgroupID: aws.ToString(group.WorkgroupId)}},
		addresses: addresses,
		labels:    map[string]string{labels.Namespace: aws.ToString(group.NamespaceName)},
	}
	if at := group.Endpoint; at != nil {
		if len(at.VpcEndpoints) > 0 {
			found.labels[labels.VPC] = aws.ToString(at.VpcEndpoints[0].VpcId)
		}
		if private == "" {
			found.addresses = known(hostPort(at.Address, aws.ToInt32(at.Port)))
		} else { // the certificate is the workgroup's
			found.serverName = aws.ToString(at.Address)
			found.labels[labels.Workgroup] = name
		}
	}
	tags, err := client.ListTagsForResource(ctx, &redshiftserverless.ListTagsForResourceInput{ResourceArn: group.WorkgroupArn})
	if err == nil {
		found.tags = tagsOf(tags.Tags, func(t serverlesstypes.Tag) (key, value *string) { return t.Key, t.Value })
	}
	found.tags = d.tagged(t.Name, found.tags, err)
	return found, nil
}

// after returns what follows a prefix, or "" without it.
func after(s, prefix string) string {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ""
	}
	return rest
}
