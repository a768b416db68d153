package finder

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// Engines, as RDS names them.
const (
	enginePostgres       = "postgres"
	engineMySQL          = "mysql"
	engineMariaDB        = "mariadb"
	engineAuroraMySQL    = "aurora-mysql"
	engineAuroraPostgres = "aurora-postgresql"
	engineDocumentDB     = "docdb"
)

// pageSize is the largest page that RDS gives.
const pageSize = 100

// rds finds instances and clusters of Aurora. Permission for one of them is enough to find that one.
func (l *look) rds(ctx context.Context) error {
	client := rds.NewFromConfig(l.cfg)
	return l.seen(
		Part{What: "RDS instances", Err: l.instances(ctx, client), covers: func(db *resource.Database) bool { return db.Spec.AWS.RDS.InstanceID != "" }},
		Part{What: "Aurora clusters", Err: l.aurora(ctx, client), covers: func(db *resource.Database) bool { return db.Spec.AWS.RDS.InstanceID == "" }},
	)
}

// instances finds instances that are not of Aurora, whose members have other engines.
func (l *look) instances(ctx context.Context, client *rds.Client) error {
	all, err := listInstances(ctx, client, enginePostgres, engineMySQL, engineMariaDB)
	if err != nil {
		return err
	}
	for _, instance := range all {
		id, version := instance.DBInstanceIdentifier, aws.ToString(instance.EngineVersion)
		protocol := protocolOf(aws.ToString(instance.Engine))
		switch {
		case protocol == "":
			l.skip(id, "its engine is not supported", "engine", aws.ToString(instance.Engine))
		case aws.ToString(instance.Engine) == engineMariaDB && !atLeast(version, 10, 6, 0):
			l.skip(id, "MariaDB has IAM authentication since 10.6", "version", version)
		case !l.available(id, aws.ToString(instance.DBInstanceStatus), instanceStates):
		case instance.Endpoint == nil:
			l.skip(id, "it has no endpoint yet")
		default:
			l.add(candidate{
				Database: described.Instance(instance), id: aws.ToString(id), kind: endpoint.KindInstance, protocol: protocol,
				address:     described.Address(instance.Endpoint.Address, aws.ToInt32(instance.Endpoint.Port)),
				description: "RDS instance in " + l.Region,
			})
		}
	}
	return nil
}

// aurora finds endpoints of clusters.
func (l *look) aurora(ctx context.Context, client *rds.Client) error {
	all, err := listClusters(ctx, client, engineAuroraMySQL, engineAuroraPostgres)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(cluster types.DBCluster) bool { return !l.auroraUsable(cluster) })
	if len(all) == 0 {
		return nil
	}
	vpcs, err := auroraVPCs(ctx, client)
	lacks, err := optional(err)
	if err != nil {
		return err
	}
	for _, cluster := range all {
		l.auroraEndpoints(cluster, vpcs[aws.ToString(cluster.DBClusterIdentifier)], lacks)
	}
	return nil
}

func (l *look) auroraUsable(cluster types.DBCluster) bool {
	id, mode, version := cluster.DBClusterIdentifier, aws.ToString(cluster.EngineMode), aws.ToString(cluster.EngineVersion)
	switch {
	case protocolOf(aws.ToString(cluster.Engine)) == "":
		l.skip(id, "its engine is not supported", "engine", aws.ToString(cluster.Engine))
	case mode == "serverless":
		l.skip(id, "Aurora Serverless v1 has no IAM authentication")
	case mode == "parallelquery" && withoutIAM(version):
		l.skip(id, "this version with parallel query has no IAM authentication", "version", version)
	default:
		return l.available(id, aws.ToString(cluster.Status), clusterStates)
	}
	return false
}

// withoutIAM reports versions of Aurora MySQL that have no IAM authentication with parallel query ("Working with
// parallel query for Amazon Aurora MySQL").
func withoutIAM(version string) bool {
	if _, aurora, ok := strings.Cut(version, "mysql_aurora."); ok {
		version = aurora
	}
	return slices.Contains([]string{"1.22.2", "1.20.1", "1.19.6", "5.6.10a"}, version)
}

// auroraEndpoints adds the addresses of a cluster: of its writer and readers if it has such, as secondary clusters of
// global databases have no writer, and those that its owner made.
func (l *look) auroraEndpoints(cluster types.DBCluster, vpc string, lacks error) {
	id, port := aws.ToString(cluster.DBClusterIdentifier), aws.ToInt32(cluster.Port)
	one := candidate{Database: described.Cluster(cluster), id: id, protocol: protocolOf(aws.ToString(cluster.Engine)), lacks: lacks}
	one.Labels[labels.VPC] = vpc
	add := func(host *string, kind, name, serverName, of string) {
		c := one
		c.address, c.kind, c.endpoint, c.serverName = described.Address(host, port), kind, name, serverName
		c.labels = map[string]string{labels.EndpointType: kind}
		c.description = "Aurora cluster in " + l.Region + of
		if c.address == "" {
			l.skip(cluster.DBClusterIdentifier, "it has no endpoint yet", "endpoint", kind)
			return
		}
		l.add(c)
	}
	writer, reader := members(cluster)
	if writer {
		add(cluster.Endpoint, endpoint.KindPrimary, "", "", "")
	}
	if reader {
		add(cluster.ReaderEndpoint, endpoint.KindReader, endpoint.KindReader, "", " (reader endpoint)")
	}
	if !writer && !reader {
		l.skip(cluster.DBClusterIdentifier, "it has no members; only its custom endpoints are found")
	}
	for _, host := range cluster.CustomEndpoints {
		at, err := endpoint.Parse(host)
		if err != nil {
			l.log.Warn("custom endpoint of Aurora is passed over because its name cannot be right", "id", id, "error", err)
			continue
		}
		// Certificates have no name for custom endpoints.
		add(&host, endpoint.KindCustom, "custom-"+at.CustomName, aws.ToString(cluster.Endpoint), " (custom endpoint)")
	}
}

func members(cluster types.DBCluster) (writer, reader bool) {
	for _, member := range cluster.DBClusterMembers {
		if aws.ToBool(member.IsClusterWriter) {
			writer = true
		} else {
			reader = true
		}
	}
	return writer, reader
}

// auroraVPCs returns the VPC of each cluster, which only its members tell. One list of all members takes fewer calls
// than asking for each cluster's.
func auroraVPCs(ctx context.Context, client *rds.Client) (map[string]string, error) {
	all, err := listInstances(ctx, client, engineAuroraMySQL, engineAuroraPostgres)
	if err != nil {
		return nil, err
	}
	vpcs := make(map[string]string, len(all))
	for _, member := range all {
		if group := member.DBSubnetGroup; group != nil {
			vpcs[aws.ToString(member.DBClusterIdentifier)] = aws.ToString(group.VpcId)
		}
	}
	return vpcs, nil
}

// protocolOf returns "" for engines that no protocol is known of.
func protocolOf(engine string) string {
	switch engine {
	case enginePostgres, engineAuroraPostgres:
		return resource.ProtocolPostgres
	case engineMySQL, engineMariaDB, "aurora", engineAuroraMySQL:
		return resource.ProtocolMySQL
	default:
		return ""
	}
}

func listInstances(ctx context.Context, client *rds.Client, engines ...string) ([]types.DBInstance, error) {
	return byEngine(engines, func(engines ...string) ([]types.DBInstance, error) {
		return pages(ctx, func(ctx context.Context, token *string) ([]types.DBInstance, *string, error) {
			out, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{Filters: engineFilter(engines), Marker: token, MaxRecords: aws.Int32(pageSize)})
			if err != nil {
				return nil, nil, err
			}
			return out.DBInstances, out.Marker, nil
		})
	})
}

func listClusters(ctx context.Context, client *rds.Client, engines ...string) ([]types.DBCluster, error) {
	return byEngine(engines, func(engines ...string) ([]types.DBCluster, error) {
		return pages(ctx, func(ctx context.Context, token *string) ([]types.DBCluster, *string, error) {
			out, err := client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{Filters: engineFilter(engines), Marker: token, MaxRecords: aws.Int32(pageSize)})
			if err != nil {
				return nil, nil, err
			}
			return out.DBClusters, out.Marker, nil
		})
	})
}

func engineFilter(engines []string) []types.Filter {
	return []types.Filter{{Name: aws.String("engine"), Values: engines}}
}
