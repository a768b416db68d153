package resource

import (
	"reflect"
	"slices"
	"strings"

	"sallyport/internal/aws/endpoint"
)

// warnIdle warns of what is written about AWS and does nothing for a database of the type; isAWS is false for one that is not
// in AWS, for which nothing there does. What only agents write is left out.
func (s *DatabaseSpec) warnIdle(p *problems, t endpoint.Type, isAWS bool) {
	a := &s.AWS
	for _, one := range []struct {
		key   string
		value any
		is    []endpoint.Type // those that it is for; nil for all
	}{
		{"region", a.Region, nil},
		{"account_id", a.AccountID, nil},
		{"assume_role_arn", a.AssumeRoleARN, nil},
		{"rds", a.RDS, []endpoint.Type{endpoint.RDS}},
		{"rdsproxy", a.RDSProxy, []endpoint.Type{endpoint.RDSProxy}},
		{"redshift", a.Redshift, []endpoint.Type{endpoint.Redshift}},
		{"redshift_serverless", a.RedshiftServerless, []endpoint.Type{endpoint.RedshiftServerless}},
		{"elasticache", a.ElastiCache, []endpoint.Type{endpoint.ElastiCache}},
		{"elasticache_serverless", a.ElastiCacheServerless, []endpoint.Type{endpoint.ElastiCacheServerless}},
		{"memorydb", a.MemoryDB, []endpoint.Type{endpoint.MemoryDB}},
		{"opensearch", a.OpenSearch, []endpoint.Type{endpoint.OpenSearch}},
		{"docdb", a.DocumentDB, []endpoint.Type{endpoint.DocumentDB}},
		{"secret_store", a.SecretStore, []endpoint.Type{endpoint.ElastiCache, endpoint.ElastiCacheServerless, endpoint.MemoryDB}},
		{"session_tags", a.SessionTags, []endpoint.Type{endpoint.DynamoDB}},
	} {
		switch {
		case reflect.ValueOf(one.value).IsZero(), isAWS && (one.is == nil || slices.Contains(one.is, t)):
		case !isAWS && one.key == "account_id" && a.AssumeRoleARN != "": // configuration files have it from there
		case !isAWS:
			p.warn("spec.aws."+one.key, "has no effect: spec.uri is no endpoint of AWS, and no id in spec.aws says that the database is one")
		default:
			p.warn("spec.aws."+one.key, "has no effect on a database of %s; it is for %s", t.Title(), titles(one.is))
		}
	}
}

func titles(types []endpoint.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Title()
	}
	return strings.Join(names, ", ")
}
