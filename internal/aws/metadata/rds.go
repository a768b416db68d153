package metadata

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// rds describes an instance or a cluster. Permissions to log in are given on what an instance belongs to, so an instance
// of Aurora has the resource id of its cluster.
func (d *Describer) rds(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := rds.NewFromConfig(cfg)
	ids := &t.AWS.RDS
	if ids.ClusterID != "" && t.Endpoint.Kind != endpoint.KindInstance {
		return describeCluster(ctx, client, t, ids.ClusterID)
	}
	found, member, err := describeInstance(ctx, client, ids.InstanceID)
	if noInstance(err) {
		if cluster, clusterErr := describeCluster(ctx, client, t, ids.InstanceID); clusterErr == nil {
			return cluster, nil
		}
	}
	if err != nil || member == "" {
		return found, err
	}
	cluster, err := describeCluster(ctx, client, t, member)
	if err != nil {
		return nil, err
	}
	cluster.aws.RDS.InstanceID, cluster.addresses, cluster.serverName = ids.InstanceID, found.addresses, ""
	cluster.labels, cluster.tags = found.labels, found.tags
	return cluster, nil
}

var errNoID = fault.New(fault.NotFound, "the id of the database is not known; set aws.rds.instance_id or aws.rds.cluster_id")

// noInstance reports that there may be a cluster of that name.
func noInstance(err error) bool {
	_, missing := errors.AsType[*types.DBInstanceNotFoundFault](err)
	_, denied := credentials.Denied(err)
	return missing || denied
}

// describeInstance also returns the cluster that the instance is of, or "".
func describeInstance(ctx context.Context, client *rds.Client, id string) (*description, string, error) {
	if id == "" { // AWS would list them all
		return nil, "", errNoID
	}
	out, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return nil, "", err
	}
	instance, err := one(out.DBInstances, id)
	if err != nil {
		return nil, "", err
	}
	found := &description{
		arn: aws.ToString(instance.DBInstanceArn),
		aws: resource.AWS{RDS: resource.RDS{
			InstanceID: aws.ToString(instance.DBInstanceIdentifier), ResourceID: aws.ToString(instance.DbiResourceId),
			IAMAuth: resource.Bool(aws.ToBool(instance.IAMDatabaseAuthenticationEnabled)),
		}},
		labels: map[string]string{labels.Engine: aws.ToString(instance.Engine), labels.EngineVersion: aws.ToString(instance.EngineVersion), labels.EndpointType: endpoint.KindInstance},
		tags:   rdsTags(instance.TagList),
	}
	if at := instance.Endpoint; at != nil {
		found.addresses = known(hostPort(at.Address, aws.ToInt32(at.Port)))
	}
	if group := instance.DBSubnetGroup; group != nil {
		found.labels[labels.VPC], found.aws.RDS.VPCID = aws.ToString(group.VpcId), aws.ToString(group.VpcId)
		for _, subnet := range group.Subnets {
			found.aws.RDS.Subnets = append(found.aws.RDS.Subnets, aws.ToString(subnet.SubnetIdentifier))
		}
	}
	found.aws.RDS.SecurityGroups = securityGroups(instance.VpcSecurityGroups)
	if !found.aws.RDS.IAMAuth {
		found.iamOff = func(ctx context.Context) error {
			_, err := client.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
				DBInstanceIdentifier: instance.DBInstanceIdentifier, EnableIAMDatabaseAuthentication: aws.Bool(true), ApplyImmediately: aws.Bool(true),
			})
			return err
		}
	}
	return found, aws.ToString(instance.DBClusterIdentifier), nil
}

func describeCluster(ctx context.Context, client *rds.Client, t *target.Target, id string) (*description, error) {
	cluster, err := findCluster(ctx, client, id)
	if err != nil {
		return nil, err
	}
	found := &description{
		arn: aws.ToString(cluster.DBClusterArn),
		aws: resource.AWS{RDS: resource.RDS{
			ClusterID: aws.ToString(cluster.DBClusterIdentifier), ResourceID: aws.ToString(cluster.DbClusterResourceId),
			IAMAuth: resource.Bool(aws.ToBool(cluster.IAMDatabaseAuthenticationEnabled)), SecurityGroups: securityGroups(cluster.VpcSecurityGroups),
		}},
		addresses: clusterAddresses(cluster),
		labels:    map[string]string{labels.Engine: aws.ToString(cluster.Engine), labels.EngineVersion: aws.ToString(cluster.EngineVersion)},
		tags:      rdsTags(cluster.TagList),
	}
	if t.Endpoint.Kind == endpoint.KindCustom { // the certificate has no name for custom endpoints
		found.serverName = aws.ToString(cluster.Endpoint)
	}
	if !found.aws.RDS.IAMAuth {
		found.iamOff = func(ctx context.Context) error {
			_, err := client.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{
				DBClusterIdentifier: cluster.DBClusterIdentifier, EnableIAMDatabaseAuthentication: aws.Bool(true), ApplyImmediately: aws.Bool(true),
			})
			return err
		}
	}
	return found, nil
}

func findCluster(ctx context.Context, client *rds.Client, id string) (types.DBCluster, error) {
	if id == "" {
		return types.DBCluster{}, errNoID
	}
	out, err := client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	if err != nil {
		return types.DBCluster{}, err
	}
	return one(out.DBClusters, id)
}

func clusterAddresses(cluster types.DBCluster) []string {
	port := aws.ToInt32(cluster.Port)
	addresses := known(hostPort(cluster.Endpoint, port), hostPort(cluster.ReaderEndpoint, port))
	for _, custom := range cluster.CustomEndpoints {
		addresses = append(addresses, hostPort(&custom, port))
	}
	return addresses
}

func securityGroups(list []types.VpcSecurityGroupMembership) (ids resource.Strings) {
	for _, group := range list {
		ids = append(ids, aws.ToString(group.VpcSecurityGroupId))
	}
	return ids
}

func rdsTags(list []types.Tag) map[string]string {
	return tagsOf(list, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
}

// rdsProxy describes the proxy of a default or custom endpoint.
func (d *Describer) rdsProxy(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := rds.NewFromConfig(cfg)
	name, custom := t.AWS.RDSProxy.Name, t.AWS.RDSProxy.CustomEndpointName
	var addresses []string
	var kind string
	if custom != "" {
		out, err := client.DescribeDBProxyEndpoints(ctx, &rds.DescribeDBProxyEndpointsInput{DBProxyEndpointName: aws.String(custom)})
		if err != nil {
			return nil, err
		}
		at, err := one(out.DBProxyEndpoints, custom)
		if err != nil {
			return nil, err
		}
		name, addresses, kind = aws.ToString(at.DBProxyName), known(aws.ToString(at.Endpoint)), string(at.TargetRole)
	}
	out, err := client.DescribeDBProxies(ctx, &rds.DescribeDBProxiesInput{DBProxyName: aws.String(name)})
	if err != nil {
		return nil, err
	}
	proxy, err := one(out.DBProxies, name)
	if err != nil {
		return nil, err
	}
	found := &description{
		arn:       aws.ToString(proxy.DBProxyArn),
		aws:       resource.AWS{RDSProxy: resource.RDSProxy{Name: name, CustomEndpointName: custom, ResourceID: proxyID(proxy)}},
		addresses: addresses,
		labels:    map[string]string{labels.Engine: aws.ToString(proxy.EngineFamily), labels.VPC: aws.ToString(proxy.VpcId), labels.EndpointType: kind},
	}
	if custom == "" {
		found.addresses = known(aws.ToString(proxy.Endpoint))
	} else { // the certificate's wildcard covers one label, and custom endpoints have two
		found.serverName = aws.ToString(proxy.Endpoint)
	}
	tags, err := client.ListTagsForResource(ctx, &rds.ListTagsForResourceInput{ResourceName: proxy.DBProxyArn})
	if err == nil {
		found.tags = rdsTags(tags.TagList)
	}
	found.tags = d.tagged(t.Name, found.tags, err)
	return found, nil
}

// proxyID is what policies call the proxy: arn:aws:rds:REGION:ACCOUNT:db-proxy:prx-...
func proxyID(proxy types.DBProxy) string {
	arn, err := endpoint.ParseARN(aws.ToString(proxy.DBProxyArn))
	if err != nil {
		return ""
	}
	return after(arn.Resource, "db-proxy:")
}

// documentDB describes a cluster, through the API of RDS as DocumentDB's own is part of it.
func (d *Describer) documentDB(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := rds.NewFromConfig(cfg)
	ids := &t.AWS.DocumentDB
	id := ids.ClusterID
	var addresses []string
	if id == "" {
		found, member, err := describeInstance(ctx, client, ids.InstanceID)
		if err != nil {
			return nil, err
		}
		id, addresses = member, found.addresses
	}
	cluster, err := findCluster(ctx, client, id)
	if err != nil {
		return nil, err
	}
	return &description{
		arn:       aws.ToString(cluster.DBClusterArn),
		aws:       resource.AWS{DocumentDB: resource.DocumentDB{ClusterID: id, InstanceID: ids.InstanceID, EndpointType: ids.EndpointType}},
		addresses: append(addresses, clusterAddresses(cluster)...),
		labels:    map[string]string{labels.Engine: aws.ToString(cluster.Engine), labels.EngineVersion: aws.ToString(cluster.EngineVersion)},
		tags:      rdsTags(cluster.TagList),
	}, nil
}
