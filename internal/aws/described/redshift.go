package described

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift/types"
	serverlesstypes "github.com/aws/aws-sdk-go-v2/service/redshiftserverless/types"

	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// Redshift describes a provisioned cluster. The ARN of its namespace is the only one that it has.
func Redshift(cluster types.Cluster) Database {
	return Database{
		ARN:    aws.ToString(cluster.ClusterNamespaceArn),
		AWS:    resource.AWS{Redshift: resource.Redshift{ClusterID: aws.ToString(cluster.ClusterIdentifier)}},
		Labels: map[string]string{labels.VPC: aws.ToString(cluster.VpcId)},
		Tags:   TagsOf(cluster.Tags, func(t types.Tag) (key, value *string) { return t.Key, t.Value }),
	}
}

// Workgroup describes a workgroup of Redshift Serverless.
func Workgroup(group serverlesstypes.Workgroup) Database {
	found := Database{
		ARN:    aws.ToString(group.WorkgroupArn),
		AWS:    resource.AWS{RedshiftServerless: resource.RedshiftServerless{WorkgroupName: aws.ToString(group.WorkgroupName), WorkgroupID: aws.ToString(group.WorkgroupId)}},
		Labels: map[string]string{labels.Namespace: aws.ToString(group.NamespaceName)},
	}
	if at := group.Endpoint; at != nil && len(at.VpcEndpoints) > 0 {
		found.Labels[labels.VPC] = aws.ToString(at.VpcEndpoints[0].VpcId)
	}
	return found
}

// ServerlessTags makes a map of a list of tags.
func ServerlessTags(list []serverlesstypes.Tag) map[string]string {
	return TagsOf(list, func(t serverlesstypes.Tag) (key, value *string) { return t.Key, t.Value })
}
