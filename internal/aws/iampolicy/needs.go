package iampolicy

import (
	"slices"

	"sallyport/internal/aws/endpoint"
)

// Purpose is what an identity does with databases of a type.
type Purpose int

// The purposes. A Database Service has all of them, because its own matchers look for databases too; a
// Discovery Service has the first; a role that a Database Service assumes for discovered databases has
// the other two.
const (
	Discovery Purpose = 1 << iota
	Metadata          // describing a database that is known, to fill in ids and check its address
	Access
)

// actions on "*" by type: what can be limited to a database is limited by Connect instead.
var actions = map[endpoint.Type]struct{ discovery, metadata, access []string }{
	endpoint.RDS: {
		discovery: []string{"rds:DescribeDBInstances", "rds:DescribeDBClusters"},
		metadata:  []string{"rds:DescribeDBInstances", "rds:DescribeDBClusters"},
		access:    []string{"rds:ModifyDBInstance", "rds:ModifyDBCluster", "rds-db:connect"},
	},
	endpoint.RDSProxy: {
		discovery: []string{"rds:DescribeDBProxies", "rds:DescribeDBProxyEndpoints", "rds:ListTagsForResource"},
		metadata:  []string{"rds:DescribeDBProxies", "rds:DescribeDBProxyEndpoints"},
		access:    []string{"rds-db:connect"},
	},
	endpoint.Redshift: {
		discovery: []string{"redshift:DescribeClusters"},
		metadata:  []string{"redshift:DescribeClusters"},
		access:    []string{"redshift:GetClusterCredentials"},
	},
	endpoint.RedshiftServerless: {
		discovery: []string{"redshift-serverless:ListWorkgroups", "redshift-serverless:ListEndpointAccess", "redshift-serverless:ListTagsForResource"},
		metadata:  []string{"redshift-serverless:GetWorkgroup", "redshift-serverless:GetEndpointAccess"},
	},
	endpoint.ElastiCache: {
		discovery: []string{"elasticache:ListTagsForResource", "elasticache:DescribeReplicationGroups", "elasticache:DescribeCacheClusters", "elasticache:DescribeCacheSubnetGroups"},
		metadata:  []string{"elasticache:DescribeReplicationGroups"},
		access:    []string{"elasticache:Connect", "elasticache:DescribeUsers"},
	},
	endpoint.ElastiCacheServerless: {
		discovery: []string{"elasticache:DescribeServerlessCaches", "elasticache:ListTagsForResource", "ec2:DescribeSubnets"},
		metadata:  []string{"elasticache:DescribeServerlessCaches"},
		access:    []string{"elasticache:Connect", "elasticache:DescribeUsers"},
	},
	endpoint.MemoryDB: {
		discovery: []string{"memorydb:ListTags", "memorydb:DescribeClusters", "memorydb:DescribeSubnetGroups"},
		metadata:  []string{"memorydb:DescribeClusters"},
		access:    []string{"memorydb:Connect", "memorydb:DescribeUsers"},
	},
	endpoint.OpenSearch: {
		discovery: []string{"es:ListDomainNames", "es:DescribeDomains", "es:ListTags"},
		metadata:  []string{"es:DescribeDomains"},
	},
	endpoint.DocumentDB: {
		discovery: []string{"rds:DescribeDBClusters"},
		metadata:  []string{"rds:DescribeDBClusters"},
	},
	endpoint.DynamoDB:  {},
	endpoint.Keyspaces: {},
}

// managing are the actions by which passwords of users are managed, for types that have such users.
var managing = map[endpoint.Type][]string{
	endpoint.ElastiCache:           {"elasticache:ModifyUser", "elasticache:ListTagsForResource"},
	endpoint.ElastiCacheServerless: {"elasticache:ModifyUser", "elasticache:ListTagsForResource"},
	endpoint.MemoryDB:              {"memorydb:UpdateUser", "memorydb:ListTags"},
}

// secretActions are those on the secrets in which managed passwords are kept.
var secretActions = []string{"secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret",
	"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:TagResource", "secretsmanager:UpdateSecret"}

// Need is one type of database and what is done with it.
type Need struct {
	Type     endpoint.Type
	Purposes Purpose
	// Place of the secrets of managed users. Partition and Account are "*" where they are not known.
	Partition, Account string
	SecretPrefix       string // default DefaultSecretPrefix; a slash at its end does not matter
	KMSKey             string // id or ARN of the key of the secrets; empty for the account's own
	// WithoutConnect leaves out what Connect allows, for identities that are given that database by database.
	WithoutConnect bool
}

// DefaultSecretPrefix is what the names of secrets of managed users begin with.
const DefaultSecretPrefix = "teleport"

// Statements returns what the need asks for, without what depends on which roles are assumed: one
// statement for the actions on everything, further ones for secrets.
func (n Need) Statements() []Statement {
	of := actions[n.Type]
	var all []string
	if n.Purposes&Discovery != 0 {
		all = append(all, of.discovery...)
	}
	if n.Purposes&Metadata != 0 {
		all = append(all, of.metadata...)
	}
	managed := managing[n.Type]
	if n.Purposes&Access != 0 {
		all = slices.Concat(all, of.access, managed)
	}
	if n.WithoutConnect {
		connect, _ := Connect(Target{Type: n.Type})
		all = slices.DeleteFunc(all, func(action string) bool {
			return slices.ContainsFunc(connect, func(s Statement) bool { return slices.Contains(s.Actions, action) })
		})
	}
	if len(all) == 0 {
		return nil
	}
	list := []Statement{allow("", unique(all), "*")}
	if n.Purposes&Access != 0 && len(managed) > 0 {
		list = append(list, n.secrets()...)
	}
	return list
}

// AssumesRoles reports whether users of the type are roles that the identity has to assume, so that an
// administrator has to say which.
func AssumesRoles(t endpoint.Type) bool { return t.UsersAreRoles() || t == endpoint.Redshift }

// AssumeRoles allows assuming the roles, and nothing without any. With tags it also allows tagging the sessions, which
// DynamoDB databases with session tags ask for: those of the roles, or of all where none is named, since tagging alone opens
// nothing.
func AssumeRoles(roles []string, tags bool) []Statement {
	var list []Statement
	if len(roles) > 0 {
		list = append(list, allow("", []string{"sts:AssumeRole"}, roles...))
	}
	if tags && len(roles) == 0 {
		roles = []string{"*"}
	}
	if tags {
		list = append(list, allow("", []string{"sts:TagSession"}, roles...))
	}
	return list
}

func allow(sid string, actions []string, resources ...string) Statement {
	return Statement{Sid: sid, Effect: Allow, Actions: actions, Resources: resources}
}
