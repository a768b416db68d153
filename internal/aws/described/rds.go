package described

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// Instance describes an instance of RDS, which may be one of a cluster.
func Instance(instance types.DBInstance) Database {
	found := Database{
		ARN: aws.ToString(instance.DBInstanceArn),
		AWS: resource.AWS{RDS: resource.RDS{
			InstanceID: aws.ToString(instance.DBInstanceIdentifier), ResourceID: aws.ToString(instance.DbiResourceId),
			IAMAuth: resource.Bool(aws.ToBool(instance.IAMDatabaseAuthenticationEnabled)), SecurityGroups: securityGroups(instance.VpcSecurityGroups),
		}},
		Labels: map[string]string{labels.Engine: aws.ToString(instance.Engine), labels.EngineVersion: aws.ToString(instance.EngineVersion), labels.EndpointType: endpoint.KindInstance},
		Tags:   RDSTags(instance.TagList),
	}
	if group := instance.DBSubnetGroup; group != nil {
		found.Labels[labels.VPC], found.AWS.RDS.VPCID = aws.ToString(group.VpcId), aws.ToString(group.VpcId)
		for _, subnet := range group.Subnets {
			found.AWS.RDS.Subnets = append(found.AWS.RDS.Subnets, aws.ToString(subnet.SubnetIdentifier))
		}
	}
	return found
}

// Cluster describes a cluster of Aurora.
func Cluster(cluster types.DBCluster) Database {
	found := ofCluster(cluster)
	found.AWS.RDS = resource.RDS{
		ClusterID: aws.ToString(cluster.DBClusterIdentifier), ResourceID: aws.ToString(cluster.DbClusterResourceId),
		IAMAuth: resource.Bool(aws.ToBool(cluster.IAMDatabaseAuthenticationEnabled)), SecurityGroups: securityGroups(cluster.VpcSecurityGroups),
	}
	return found
}

// DocumentDB describes a cluster of DocumentDB, which the API of RDS knows.
func DocumentDB(cluster types.DBCluster) Database {
	found := ofCluster(cluster)
	found.AWS.DocumentDB = resource.DocumentDB{ClusterID: aws.ToString(cluster.DBClusterIdentifier)}
	return found
}

func ofCluster(cluster types.DBCluster) Database {
	return Database{
		ARN:    aws.ToString(cluster.DBClusterArn),
		Labels: map[string]string{labels.Engine: aws.ToString(cluster.Engine), labels.EngineVersion: aws.ToString(cluster.EngineVersion)},
		Tags:   RDSTags(cluster.TagList),
	}
}

// Proxy describes an RDS Proxy. What policies call it is the last part of its ARN, as in
// arn:aws:rds:REGION:ACCOUNT:db-proxy:prx-...
func Proxy(proxy types.DBProxy) Database {
	found := Database{
		ARN:    aws.ToString(proxy.DBProxyArn),
		AWS:    resource.AWS{RDSProxy: resource.RDSProxy{Name: aws.ToString(proxy.DBProxyName)}},
		Labels: map[string]string{labels.Engine: aws.ToString(proxy.EngineFamily), labels.VPC: aws.ToString(proxy.VpcId)},
	}
	if arn, err := endpoint.ParseARN(found.ARN); err == nil {
		if id, ok := strings.CutPrefix(arn.Resource, "db-proxy:"); ok {
			found.AWS.RDSProxy.ResourceID = id
		}
	}
	return found
}

// RDSTags makes a map of a list of tags.
func RDSTags(list []types.Tag) map[string]string {
	return TagsOf(list, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
}

func securityGroups(list []types.VpcSecurityGroupMembership) (ids resource.Strings) {
	for _, group := range list {
		ids = append(ids, aws.ToString(group.VpcSecurityGroupId))
	}
	return ids
}
