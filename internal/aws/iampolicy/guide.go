package iampolicy

import "sallyport/internal/aws/endpoint"

// Guide returns the policy that an administrator writes by hand for an identity that reaches databases
// of one type: statements with a Sid that says what each is for, so that those not wanted can be left
// out. role is the ARN of a role that is a database user, for types that have such; the target scopes the
// statements of caches.
func Guide(target Target, role string) Document {
	t, _ := target.fill()
	one := func(sid, action string, resources ...string) Statement {
		return allow(sid, []string{action}, resources...)
	}
	switch t.Type {
	case endpoint.RDS:
		return Document{[]Statement{
			allow("RDSAutoEnableIAMAuth", []string{"rds:ModifyDBCluster", "rds:ModifyDBInstance"}, "*"),
			one("RDSConnect", "rds-db:connect", "*"),
			allow("RDSFetchMetadata", []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"}, "*"),
		}}
	case endpoint.RDSProxy:
		return Document{[]Statement{
			one("RDSProxyConnect", "rds-db:connect", "*"),
			allow("RDSProxyFetchMetadata", []string{"rds:DescribeDBProxies", "rds:DescribeDBProxyEndpoints"}, "*"),
		}}
	case endpoint.Redshift:
		return Document{[]Statement{
			one("RedshiftConnectAsDBUser", "redshift:GetClusterCredentials", "*"),
			one("RedshiftConnectAsIAMRole", "sts:AssumeRole", role),
			one("RedshiftFetchMetadata", "redshift:DescribeClusters", "*"),
		}}
	case endpoint.RedshiftServerless:
		return Document{[]Statement{
			one("RedshiftServerlessConnectAsIAMRole", "sts:AssumeRole", role),
			allow("RedshiftServerlessFetchMetadata", []string{"redshift-serverless:GetEndpointAccess", "redshift-serverless:GetWorkgroup"}, "*"),
		}}
	case endpoint.ElastiCache:
		return Document{[]Statement{
			one("ElastiCacheDescribeUsers", "elasticache:DescribeUsers", "*"),
			t.named("ElastiCacheConnect"),
		}}
	case endpoint.ElastiCacheServerless:
		return Document{[]Statement{
			one("ElastiCacheServerlessFetchMetadata", "elasticache:DescribeServerlessCaches", "*"),
			one("ElastiCacheServerlessDescribeUsers", "elasticache:DescribeUsers", "*"),
			one("ElastiCacheServerlessConnect", "elasticache:Connect", "*"),
		}}
	case endpoint.MemoryDB:
		return Document{[]Statement{
			one("MemoryDBDescribeUsers", "memorydb:DescribeUsers", "*"),
			t.named("MemoryDBConnect"),
		}}
	case endpoint.OpenSearch:
		return Document{[]Statement{
			one("OpenSearchCheckDomainURL", "es:DescribeDomains", "*"),
			one("OpenSearchConnectAsIAMRole", "sts:AssumeRole", role),
		}}
	case endpoint.DocumentDB:
		return Document{[]Statement{
			one("DocumentDBConnectAsIAMRole", "sts:AssumeRole", role),
			one("DocumentDBCheckDomainURL", "rds:DescribeDBClusters", "*"),
		}}
	case endpoint.DynamoDB:
		return Document{[]Statement{
			one("DynamoDBConnectAsIAMRole", "sts:AssumeRole", role),
			one("DynamoDBSessionTagging", "sts:TagSession", "*"),
		}}
	case endpoint.Keyspaces:
		return Document{[]Statement{one("KeyspacesConnectAsIAMRole", "sts:AssumeRole", role)}}
	default:
		return Document{}
	}
}

// GuideManaged returns what managing the passwords of users adds to Guide, for types that have such users.
func GuideManaged(need Need) Document {
	secrets := need.secrets()
	switch need.Type {
	case endpoint.ElastiCache:
		secrets[0].Sid = "ElastiCacheManagePasswords"
		return Document{append([]Statement{allow("ElastiCacheManageUsers",
			[]string{"elasticache:DescribeUsers", "elasticache:ModifyUser", "elasticache:ListTagsForResource"}, "*")}, secrets...)}
	case endpoint.MemoryDB:
		secrets[0].Sid = "MemoryDBManagePasswords"
		return Document{append([]Statement{allow("MemoryDBManageUsers",
			[]string{"memorydb:DescribeUsers", "memorydb:UpdateUser", "memorydb:ListTags"}, "*")}, secrets...)}
	default:
		return Document{}
	}
}

// named is the statement of Connect with a Sid.
func (t Target) named(sid string) Statement {
	statements, _ := Connect(t)
	statements[0].Sid = sid
	return statements[0]
}
