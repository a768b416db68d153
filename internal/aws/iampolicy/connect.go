package iampolicy

import (
	"fmt"

	"sallyport/internal/aws/endpoint"
)

// Target is one database, as ARNs name it.
type Target struct {
	Type      endpoint.Type
	Partition string
	Region    string
	Account   string
	// ID is the resource id of RDS (db-..., cluster-...; never the id of an instance that belongs to a
	// cluster) and RDS Proxy (prx-...), the id of a workgroup, or the name of a cluster, replication group,
	// cache or domain.
	ID string
}

// placeholders stand for what is not known, in texts for people.
var placeholders = map[endpoint.Type]string{
	endpoint.RDS: "{resource_id}", endpoint.RDSProxy: "{resource_id}", endpoint.Redshift: "{cluster_id}",
	endpoint.RedshiftServerless: "{workgroup_id}", endpoint.ElastiCache: "{replication_group_id}",
	endpoint.ElastiCacheServerless: "{cache_name}", endpoint.MemoryDB: "{cluster_name}", endpoint.OpenSearch: "{domain_name}",
	endpoint.DynamoDB: "{table_name}", endpoint.Keyspaces: "{keyspace_name}",
}

// fill returns the target with placeholders, and those that were needed.
func (t Target) fill() (filled Target, missing []string) {
	for _, one := range []struct {
		field       *string
		placeholder string
	}{{&t.Partition, "{partition}"}, {&t.Region, "{region}"}, {&t.Account, "{account_id}"}, {&t.ID, placeholders[t.Type]}} {
		if *one.field == "" && one.placeholder != "" {
			*one.field = one.placeholder
			missing = append(missing, one.placeholder)
		}
	}
	return t, missing
}

func (t Target) arn(service, resource string) string {
	return arn(t.Partition, service, t.Region, t.Account, fmt.Sprintf(resource, t.ID))
}

// Connect returns what logging in to this one database takes, for every user of it. What is not known
// becomes a placeholder such as {region} and is listed: with any missing, the statement is for reading
// only. Types whose users are roles need nothing but those roles.
func Connect(target Target) (statements []Statement, missing []string) {
	t, missing := target.fill()
	switch t.Type {
	case endpoint.RDS, endpoint.RDSProxy:
		return []Statement{allow("", []string{"rds-db:connect"}, t.arn("rds-db", "dbuser:%s/*"))}, missing
	case endpoint.Redshift:
		return []Statement{allow("", []string{"redshift:GetClusterCredentials"},
			t.arn("redshift", "dbuser:%s/*"), t.arn("redshift", "dbname:%s/*"), t.arn("redshift", "dbgroup:%s/*"))}, missing
	case endpoint.ElastiCache:
		return []Statement{allow("", []string{"elasticache:Connect"},
			t.arn("elasticache", "replicationgroup:%s"), arn(t.Partition, "elasticache", t.Region, t.Account, "user:*"))}, missing
	case endpoint.ElastiCacheServerless:
		return []Statement{allow("", []string{"elasticache:Connect"},
			t.arn("elasticache", "serverlesscache:%s"), arn(t.Partition, "elasticache", t.Region, t.Account, "user:*"))}, missing
	case endpoint.MemoryDB: // with slashes, unlike ElastiCache
		return []Statement{allow("", []string{"memorydb:Connect"},
			t.arn("memorydb", "cluster/%s"), arn(t.Partition, "memorydb", t.Region, t.Account, "user/*"))}, missing
	default:
		return nil, nil
	}
}

// KeepInline returns what a role, or a user, needs to keep an inline policy of its own. Whoever has it can give itself
// everything that its permissions boundary lets through.
func KeepInline(arn string, isRole bool) Statement {
	kind := "User"
	if isRole {
		kind = "Role"
	}
	return allow("", []string{"iam:Get" + kind + "Policy", "iam:Put" + kind + "Policy", "iam:Delete" + kind + "Policy"}, arn)
}
