package endpoint

// Type is a kind of database in AWS, as listings, matchers and audit events name it.
type Type string

// The types.
const (
	RDS                   Type = "rds" // instances and Aurora
	RDSProxy              Type = "rdsproxy"
	Redshift              Type = "redshift"
	RedshiftServerless    Type = "redshift-serverless"
	ElastiCache           Type = "elasticache"
	ElastiCacheServerless Type = "elasticache-serverless"
	MemoryDB              Type = "memorydb"
	OpenSearch            Type = "opensearch"
	DocumentDB            Type = "docdb"
	DynamoDB              Type = "dynamodb"
	Keyspaces             Type = "keyspace"
)

// Types returns all types, in the order of the constants.
func Types() []Type {
	return []Type{RDS, RDSProxy, Redshift, RedshiftServerless, ElastiCache, ElastiCacheServerless, MemoryDB, OpenSearch,
		DocumentDB, DynamoDB, Keyspaces}
}

// Title returns the name of the service as AWS writes it, without "Amazon".
func (t Type) Title() string {
	switch t {
	case RDS:
		return "RDS"
	case RDSProxy:
		return "RDS Proxy"
	case Redshift:
		return "Redshift"
	case RedshiftServerless:
		return "Redshift Serverless"
	case ElastiCache:
		return "ElastiCache"
	case ElastiCacheServerless:
		return "ElastiCache Serverless"
	case MemoryDB:
		return "MemoryDB"
	case OpenSearch:
		return "OpenSearch"
	case DocumentDB:
		return "DocumentDB"
	case DynamoDB:
		return "DynamoDB"
	case Keyspaces:
		return "Keyspaces"
	default:
		return string(t)
	}
}

// UsersAreRoles reports whether the database users of the type are, or may be, IAM roles. An external id
// is then of use without a role that the agent assumes first.
func (t Type) UsersAreRoles() bool {
	switch t {
	case RedshiftServerless, OpenSearch, DocumentDB, DynamoDB, Keyspaces:
		return true
	default:
		return false
	}
}

// Kinds of endpoints, as the label endpoint-type names them.
const (
	KindInstance      = "instance"
	KindPrimary       = "primary"
	KindReader        = "reader"
	KindCustom        = "custom"
	KindCluster       = "cluster"
	KindNode          = "node"
	KindConfiguration = "configuration"
	KindWorkgroup     = "workgroup"
	KindVPCEndpoint   = "vpc-endpoint"
)

// TLS is what a host name says about encryption.
type TLS int

// What a name may say. Most say nothing.
const (
	TLSNotSaid TLS = iota
	TLSOn
	TLSOff
)

// usualPort returns the port of services that have one; RDS depends on the engine.
func usualPort(t Type) uint16 {
	switch t {
	case Redshift, RedshiftServerless:
		return 5439
	case ElastiCache, ElastiCacheServerless, MemoryDB:
		return 6379
	case DocumentDB:
		return 27017
	case OpenSearch, DynamoDB:
		return 443
	case Keyspaces:
		return 9142
	default:
		return 0
	}
}
