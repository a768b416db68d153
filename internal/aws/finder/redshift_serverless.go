package finder

import (
	"context"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// workgroup is a workgroup that can be connected to.
type workgroup struct {
	tagged
	name, host string
	port       int32
}

// redshiftServerless finds workgroups and their endpoints in VPCs.
func (l *look) redshiftServerless(ctx context.Context) error {
	client := redshiftserverless.NewFromConfig(l.cfg)
	groups, err := l.workgroups(ctx, client)
	if err != nil {
		return err
	}
	byName := make(map[string]*workgroup, len(groups))
	for i := range groups {
		g := &groups[i]
		byName[g.name] = g
		l.add(candidate{
			Database: g.Database, id: g.name, kind: endpoint.KindWorkgroup, protocol: resource.ProtocolPostgres, lacks: g.lacks,
			address: described.Address(&g.host, g.port), labels: map[string]string{labels.EndpointType: endpoint.KindWorkgroup},
			description: "Redshift Serverless workgroup in " + l.Region,
		})
	}
	return l.seen(Part{What: "workgroups"}, Part{
		What: "VPC endpoints of workgroups", Err: l.vpcEndpoints(ctx, client, byName),
		covers: func(db *resource.Database) bool { return db.Spec.AWS.RedshiftServerless.EndpointName != "" },
	})
}

func (l *look) workgroups(ctx context.Context, client *redshiftserverless.Client) ([]workgroup, error) {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.Workgroup, *string, error) {
		out, err := client.ListWorkgroups(ctx, &redshiftserverless.ListWorkgroupsInput{NextToken: token, MaxResults: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.Workgroups, out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	var usable []workgroup
	for _, one := range all {
		if !l.available(one.WorkgroupName, string(one.Status), otherStates) {
			continue
		}
		if one.Endpoint == nil || aws.ToString(one.Endpoint.Address) == "" {
			l.skip(one.WorkgroupName, "it has no endpoint yet")
			continue
		}
		usable = append(usable, workgroup{tagged: tagged{Database: described.Workgroup(one)}, name: aws.ToString(one.WorkgroupName),
			host: aws.ToString(one.Endpoint.Address), port: aws.ToInt32(one.Endpoint.Port)})
	}
	return usable, forEach(ctx, usable, func(ctx context.Context, g *workgroup) error {
		out, err := client.ListTagsForResource(ctx, &redshiftserverless.ListTagsForResourceInput{ResourceArn: &g.ARN})
		if err != nil {
			return g.note(nil, err)
		}
		return g.note(described.ServerlessTags(out.Tags), nil)
	})
}

// vpcEndpoints adds endpoints with the labels and tags of their workgroup, whose certificate they show.
func (l *look) vpcEndpoints(ctx context.Context, client *redshiftserverless.Client, groups map[string]*workgroup) error {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.EndpointAccess, *string, error) {
		out, err := client.ListEndpointAccess(ctx, &redshiftserverless.ListEndpointAccessInput{NextToken: token, MaxResults: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.Endpoints, out.NextToken, nil
	})
	if err != nil {
		return err
	}
	for _, one := range all {
		g := groups[aws.ToString(one.WorkgroupName)]
		switch {
		case g == nil:
			l.skip(one.EndpointName, "its workgroup is passed over", "workgroup", aws.ToString(one.WorkgroupName))
			continue
		case !l.available(one.EndpointName, aws.ToString(one.EndpointStatus), otherStates):
			continue
		case aws.ToString(one.Address) == "":
			l.skip(one.EndpointName, "it has no address yet")
			continue
		}
		c := candidate{
			Database: g.Database, id: g.name, endpoint: aws.ToString(one.EndpointName), kind: endpoint.KindVPCEndpoint, protocol: resource.ProtocolPostgres,
			address: described.Address(one.Address, aws.ToInt32(one.Port)), serverName: g.host, lacks: g.lacks,
			labels:      map[string]string{labels.EndpointType: endpoint.KindVPCEndpoint, labels.Workgroup: g.name},
			description: "Redshift Serverless endpoint in " + l.Region,
		}
		c.Labels = maps.Clone(g.Labels)
		delete(c.Labels, labels.VPC)
		if vpc := one.VpcEndpoint; vpc != nil {
			c.Labels[labels.VPC] = aws.ToString(vpc.VpcId)
		}
		c.AWS.RedshiftServerless.EndpointName = c.endpoint
		l.add(c)
	}
	return nil
}
