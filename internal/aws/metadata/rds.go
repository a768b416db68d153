package metadata

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
)

// rds describes an instance or a cluster. Permissions to log in are given on what an instance belongs to, so an instance
// of Aurora has the resource id of its cluster. A cluster that is only called like the instance is another database.
func (d *Describer) rds(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := rds.NewFromConfig(cfg)
	ids := &t.AWS.RDS
	if ids.ClusterID != "" && t.Endpoint.Kind != endpoint.KindInstance {
		return describeCluster(ctx, client, t, ids.ClusterID)
	}
	found, member, err := describeInstance(ctx, client, ids.InstanceID)
	if err != nil || member == "" {
		return found, err
	}
	cluster, err := describeCluster(ctx, client, t, member)
	if err != nil {
		return nil, err
	}
	cluster.AWS.RDS.InstanceID, cluster.addresses, cluster.serverName = ids.InstanceID, found.addresses, ""
	cluster.Labels, cluster.Tags = found.Labels, found.Tags
	return cluster, nil
}

var errNoID = fault.New(fault.NotFound, "the id of the database is not known; set aws.rds.instance_id or aws.rds.cluster_id")

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
	found := &description{Database: described.Instance(instance)}
	if at := instance.Endpoint; at != nil {
		found.addresses = known(described.Address(at.Address, aws.ToInt32(at.Port)))
	}
	if !found.AWS.RDS.IAMAuth {
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
	found := &description{Database: described.Cluster(cluster), addresses: clusterAddresses(cluster)}
	if t.Endpoint.Kind == endpoint.KindCustom { // the certificate has no name for custom endpoints
		found.serverName = aws.ToString(cluster.Endpoint)
	}
	if !found.AWS.RDS.IAMAuth {
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
	addresses := known(described.Address(cluster.Endpoint, port), described.Address(cluster.ReaderEndpoint, port))
	for _, custom := range cluster.CustomEndpoints {
		addresses = append(addresses, described.Address(&custom, port))
	}
	return addresses
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
	found := &description{Database: described.Proxy(proxy), addresses: addresses}
	found.AWS.RDSProxy.CustomEndpointName, found.Labels[labels.EndpointType] = custom, kind
	if custom == "" {
		found.addresses = known(aws.ToString(proxy.Endpoint))
	} else { // the certificate's wildcard covers one label, and custom endpoints have two
		found.serverName = aws.ToString(proxy.Endpoint)
	}
	tags, err := client.ListTagsForResource(ctx, &rds.ListTagsForResourceInput{ResourceName: proxy.DBProxyArn})
	if err == nil {
		found.Tags = described.RDSTags(tags.TagList)
	}
	found.Tags = d.tagged(t.Name, found.Tags, err)
	return found, nil
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
	found := &description{Database: described.DocumentDB(cluster), addresses: append(addresses, clusterAddresses(cluster)...)}
	found.AWS.DocumentDB.InstanceID, found.AWS.DocumentDB.EndpointType = ids.InstanceID, ids.EndpointType
	return found, nil
}
