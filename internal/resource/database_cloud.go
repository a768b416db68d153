package resource

// AWS says which AWS service the database is and whose credentials reach it.
type AWS struct {
	// Region; most addresses of databases say it.
	Region string `json:"region,omitempty"`
	// AccountID has 12 digits. Some kinds of database need it.
	AccountID string `json:"account_id,omitempty"`
	// AssumeRoleARN is a role that is assumed to describe the database and to log in to it, as in another account.
	AssumeRoleARN string `json:"assume_role_arn,omitempty"`
	// ExternalID is told when the role is assumed.
	ExternalID string `json:"external_id,omitempty"`
	// SessionTags are given to sessions of roles as which users reach DynamoDB.
	SessionTags        map[string]string  `json:"session_tags,omitempty"`
	RDS                RDS                `json:"rds,omitzero"`
	RDSProxy           RDSProxy           `json:"rdsproxy,omitzero"`
	Redshift           Redshift           `json:"redshift,omitzero"`
	RedshiftServerless RedshiftServerless `json:"redshift_serverless,omitzero"`
	ElastiCache        ElastiCache        `json:"elasticache,omitzero"`
	// ElastiCacheServerless is apart from ElastiCache, whose ids it does not have.
	ElastiCacheServerless ElastiCacheServerless `json:"elasticache_serverless,omitzero"`
	MemoryDB              MemoryDB              `json:"memorydb,omitzero"`
	OpenSearch            OpenSearch            `json:"opensearch,omitzero"`
	DocumentDB            DocumentDB            `json:"docdb,omitzero"`
	// SecretStore is for passwords of managed users, in AWS Secrets Manager.
	SecretStore SecretStore `json:"secret_store,omitzero"`
	// IAMPolicyStatus, one of the constants, and IAMPolicyReason are written by an agent that keeps the policy.
	IAMPolicyStatus int    `json:"iam_policy_status,omitempty"`
	IAMPolicyReason string `json:"iam_policy_reason,omitempty"` // why it failed, and what to do
}

// How far an agent is with permitting itself to log in to a database. 0 is that it does not try.
const (
	IAMPolicyPending = 1
	IAMPolicyFailed  = 2
	IAMPolicySuccess = 3
)

// RDS identifies an RDS instance or Aurora cluster.
type RDS struct {
	InstanceID     string  `json:"instance_id,omitempty"`
	ClusterID      string  `json:"cluster_id,omitempty"`
	ResourceID     string  `json:"resource_id,omitempty"` // db-... or cluster-...
	IAMAuth        Bool    `json:"iam_auth,omitempty"`
	Subnets        Strings `json:"subnets,omitempty"`
	VPCID          string  `json:"vpc_id,omitempty"`
	SecurityGroups Strings `json:"security_groups,omitempty"`
}

// RDSProxy identifies an RDS Proxy.
type RDSProxy struct {
	Name               string `json:"name,omitempty"`
	CustomEndpointName string `json:"custom_endpoint_name,omitempty"`
	ResourceID         string `json:"resource_id,omitempty"` // prx-...
}

// Redshift identifies a provisioned Redshift cluster.
type Redshift struct {
	ClusterID string `json:"cluster_id,omitempty"`
}

// RedshiftServerless identifies a Redshift Serverless workgroup.
type RedshiftServerless struct {
	WorkgroupName string `json:"workgroup_name,omitempty"`
	EndpointName  string `json:"endpoint_name,omitempty"`
	WorkgroupID   string `json:"workgroup_id,omitempty"`
}

// ElastiCache identifies an ElastiCache replication group.
type ElastiCache struct {
	ReplicationGroupID       string  `json:"replication_group_id,omitempty"`
	UserGroupIDs             Strings `json:"user_group_ids,omitempty"`
	TransitEncryptionEnabled Bool    `json:"transit_encryption_enabled,omitempty"`
	EndpointType             string  `json:"endpoint_type,omitempty"`
}

// ElastiCacheServerless identifies a serverless cache.
type ElastiCacheServerless struct {
	CacheName    string  `json:"cache_name,omitempty"`
	UserGroupIDs Strings `json:"user_group_ids,omitempty"`
}

// MemoryDB identifies a MemoryDB cluster.
type MemoryDB struct {
	ClusterName  string `json:"cluster_name,omitempty"`
	ACLName      string `json:"acl_name,omitempty"`
	TLSEnabled   Bool   `json:"tls_enabled,omitempty"`
	EndpointType string `json:"endpoint_type,omitempty"`
}

// OpenSearch identifies an OpenSearch domain.
type OpenSearch struct {
	DomainName   string `json:"domain_name,omitempty"`
	DomainID     string `json:"domain_id,omitempty"`
	EndpointType string `json:"endpoint_type,omitempty"`
}

// DocumentDB identifies a DocumentDB cluster.
type DocumentDB struct {
	ClusterID    string `json:"cluster_id,omitempty"`
	InstanceID   string `json:"instance_id,omitempty"`
	EndpointType string `json:"endpoint_type,omitempty"`
}

// SecretStore says where passwords of managed users are kept.
type SecretStore struct {
	// KeyPrefix begins the names of the secrets.
	KeyPrefix string `json:"key_prefix,omitempty"`
	// KMSKeyID is the key that encrypts them. Default: that of AWS.
	KMSKeyID string `json:"kms_key_id,omitempty"`
}

// GCP identifies a database in Google Cloud.
type GCP struct {
	ProjectID  string `json:"project_id,omitempty"`
	InstanceID string `json:"instance_id,omitempty"`
}

// Azure identifies a database in Azure.
type Azure struct {
	Name         string     `json:"name,omitempty"`
	ResourceID   string     `json:"resource_id,omitempty"`
	Redis        AzureRedis `json:"redis,omitzero"`
	IsFlexServer Bool       `json:"is_flexi_server,omitempty"`
}

// AzureRedis are settings of Azure's Redis Enterprise.
type AzureRedis struct {
	ClusteringPolicy string `json:"clustering_policy,omitempty"`
}
