package finder

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// documentDB finds clusters of DocumentDB through the API of RDS, of which its own is a part.
func (l *look) documentDB(ctx context.Context) error {
	all, err := listClusters(ctx, rds.NewFromConfig(l.cfg), engineDocumentDB)
	if err != nil {
		return err
	}
	for _, cluster := range all {
		id, version := cluster.DBClusterIdentifier, aws.ToString(cluster.EngineVersion)
		if !atLeast(version, 5, 0) {
			l.skip(id, "DocumentDB has IAM authentication since 5.0", "version", version)
			continue
		}
		if !l.available(id, aws.ToString(cluster.Status), clusterStates) {
			continue
		}
		add := func(host *string, kind, name, of string) {
			c := candidate{
				Database: described.DocumentDB(cluster), id: aws.ToString(id), endpoint: name, kind: kind, protocol: resource.ProtocolMongoDB,
				address: described.Address(host, aws.ToInt32(cluster.Port)), labels: map[string]string{labels.EndpointType: kind},
				description: "DocumentDB cluster in " + l.Region + of,
			}
			c.AWS.DocumentDB.EndpointType = kind
			if c.address == "" {
				l.skip(id, "it has no endpoint yet", "endpoint", kind)
				return
			}
			l.add(c)
		}
		writer, reader := members(cluster)
		if writer {
			add(cluster.Endpoint, endpoint.KindCluster, "", "")
		}
		if reader {
			add(cluster.ReaderEndpoint, endpoint.KindReader, endpoint.KindReader, " (reader endpoint)")
		}
		if !writer && !reader {
			l.skip(id, "it has no members")
		}
	}
	return nil
}
